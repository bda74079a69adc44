#ifndef MPOPT_LIB_SEARCH_JSONSCANNER_H
#define MPOPT_LIB_SEARCH_JSONSCANNER_H

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace mpopt::search {

/// Walks through JSON text without building a tree: files of the contest hold over 10^7 numbers, most of them in lists that
/// repeat. Every call throws ScanError where the text does not have what it asks for.
class JsonScanner {
public:
  struct ScanError : std::runtime_error {
    using std::runtime_error::runtime_error;
  };

  explicit JsonScanner(std::string_view text) : begin(text.data()), at(begin), end(begin + text.size()) {}

  /// Calls `member(key)` for each member of an object; it must consume the value.
  template <typename Member> void object(Member member) {
    expect('{');
    for (bool first = true; !accept('}'); first = false) {
      if (!first)
        expect(',');
      std::string key = string();
      expect(':');
      member(key);
    }
  }

  /// Calls `element()` for each element of an array; it must consume it.
  template <typename Element> void array(Element element) {
    expect('[');
    for (bool first = true; !accept(']'); first = false) {
      if (!first)
        expect(',');
      element();
    }
  }

  std::string string();
  double number();
  int64_t integer();
  bool null(); ///< Consumes null if it is there.

  /// The text of an array of numbers, consumed unread.
  std::string_view numberList();

  void skip();   ///< Consumes any value.
  void finish(); ///< Nothing may follow.

private:
  static constexpr int kMaxDepth = 200;

  void space();
  bool accept(char c);
  void expect(char c);
  void skip(int depth);
  [[noreturn]] void fail(const std::string &what) const;

  const char *begin, *at, *end;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_JSONSCANNER_H
