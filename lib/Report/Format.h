#ifndef MPOPT_LIB_REPORT_FORMAT_H
#define MPOPT_LIB_REPORT_FORMAT_H

#include "llvm/Support/JSON.h"
#include <string>

namespace mpopt::report {

namespace json = llvm::json;

/// Text as HTML content or attribute value; bytes that are no UTF-8 become U+FFFD.
std::string escaped(llvm::StringRef text);

/// Three significant digits and a unit: "12.3 ms", "845 µs", "1.50 GiB", "3.21 M", "0.4 %".
std::string secondsText(double seconds);
std::string bytesText(double bytes);
std::string countText(double count);
std::string percentText(double part, double whole);

/// "1 operator", "2 operators".
std::string operatorsText(double count);

/// Digits of a coordinate in a drawing: at most two after the point.
std::string coordinate(double value);

/// A number as the account has it, for people who read the page with a program: <b data-key="..." data-value="...">text</b>.
std::string figure(llvm::StringRef key, double value, llvm::StringRef text);

/// Members of an object; 0, "" or an empty list or object where there is none.
double number(const json::Object &object, llvm::StringRef key);
std::string text(const json::Object &object, llvm::StringRef key);
const json::Array &list(const json::Object &object, llvm::StringRef key);
const json::Object &object(const json::Object &of, llvm::StringRef key);

/// "0", "1.5": a number of an axis.
std::string plain(double value);

/// About `count` round steps that cover [0, most]; round in powers of 1024 where it is `binary`.
std::vector<double> ticks(double most, int count, bool binary = false);

/// Long names, cut in the middle.
std::string shortened(llvm::StringRef text, size_t most);

/// The colour class of an event or collective: "k-compute", "k-all_reduce", ...
std::string kindClass(llvm::StringRef kind);

} // namespace mpopt::report

#endif // MPOPT_LIB_REPORT_FORMAT_H
