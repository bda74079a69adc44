// ONNX Einsum: operands are contracted from left to right, each step one matrix product.
#include "Node.h"
#include <cctype>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

/// A tensor with a letter per dimension. The dimensions of an ellipsis are the letters 0, 1, .. counted from the last.
struct Term {
  Value value;
  std::string letters;

  bool has(char letter) const { return letters.find(letter) != std::string::npos; }
  int64_t size(char letter) const { return has(letter) ? Build::shapeOf(value)[letters.find(letter)] : 1; }
};

class Einsum {
public:
  explicit Einsum(Node &n) : n(n) {}

  Value run() {
    std::string equation;
    for (char c : n.textAttr("equation", ""))
      if (c != ' ')
        equation.push_back(c);
    StringRef left = StringRef(equation).split("->").first;
    SmallVector<StringRef> parts;
    left.split(parts, ',');
    if (parts.size() != n.inputs.size())
      return bad();
    SmallVector<Term> terms;
    for (auto [i, part] : llvm::enumerate(parts)) {
      terms.push_back({n.in(i), {}});
      if (!terms.back().value || !spell(part, Build::rankOf(terms.back().value), terms.back().letters))
        return bad();
      takeDiagonals(terms.back());
    }
    if (!spellResult(equation, terms))
      return bad();
    for (auto [i, next] : llvm::enumerate(llvm::drop_begin(terms)))
      contract(terms[0], next, ArrayRef(terms).drop_front(i + 2));
    return n.hasFailed() ? Value() : order(sumOut(terms[0], {}), result);
  }

private:
  Value bad() {
    if (!n.hasFailed())
      n.fail() << "the equation '" << n.textAttr("equation", "") << "' of ONNX operator Einsum does not fit its inputs";
    return nullptr;
  }

  bool spell(StringRef text, int64_t rank, std::string &letters) {
    size_t dots = text.find("...");
    int64_t rest = rank - static_cast<int64_t>(text.size()) + (dots == StringRef::npos ? 0 : 3);
    if (rest < 0 || rest > 9 || (rest > 0 && dots == StringRef::npos))
      return false;
    wide = std::max(wide, rest);
    for (size_t i = 0; i < text.size(); ++i) {
      if (i == dots) {
        for (int64_t d = rest; d-- > 0;)
          letters.push_back(static_cast<char>('0' + d));
        i += 2;
      } else if (!std::isalpha(static_cast<unsigned char>(text[i]))) {
        return false;
      } else {
        letters.push_back(text[i]);
      }
    }
    return true;
  }

  /// Without an arrow: the ellipsis, then the letters that occur once, in alphabetical order.
  bool spellResult(StringRef equation, ArrayRef<Term> terms) {
    if (equation.contains("->")) {
      StringRef text = equation.split("->").second;
      bool dots = text.contains("...");
      if (!spell(text, static_cast<int64_t>(text.size()) + (dots ? wide - 3 : 0), result))
        return false;
    } else {
      for (int64_t d = wide; d-- > 0;)
        result.push_back(static_cast<char>('0' + d));
      for (char letter : StringRef("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
        if (count(equation, letter) == 1)
          result.push_back(letter);
    }
    return llvm::all_of(result, [&](char letter) {
      return count(result, letter) == 1 && llvm::any_of(terms, [&](const Term &t) { return t.has(letter); });
    });
  }

  static int64_t count(StringRef text, char letter) { return static_cast<int64_t>(text.count(letter)); }

  /// A letter twice in one operand: what lies off the diagonal becomes 0, and is summed.
  void takeDiagonals(Term &term) {
    for (size_t i = 0; i < term.letters.size() && !n.hasFailed(); ++i)
      for (size_t j = term.letters.size() - 1; j > i; --j) {
        if (term.letters[i] != term.letters[j])
          continue;
        int64_t rank = Build::rankOf(term.value), size = Build::shapeOf(term.value)[i];
        Type i64 = IntegerType::get(n.context(), 64);
        auto line = [&](size_t axis) {
          SmallVector<int64_t> shape(rank, 1);
          shape[axis] = size;
          return n.iota(RankedTensorType::get(shape, i64), axis, 0, 1);
        };
        Value kept = n.select(n.compare(nn::Predicate::Eq, line(i), line(j)), term.value, n.like(term.value, 0));
        term.value = n.reduce(nn::ReduceKind::Sum, kept, {static_cast<int64_t>(j)}, false);
        term.letters.erase(j, 1);
      }
  }

  bool isNeeded(char letter, ArrayRef<Term> others) const {
    return result.find(letter) != std::string::npos ||
           llvm::any_of(others, [&](const Term &t) { return t.has(letter); });
  }

  /// Sums over letters that neither the result nor the others need.
  Term sumOut(Term term, ArrayRef<Term> others) {
    SmallVector<int64_t> axes;
    std::string kept;
    for (auto [i, letter] : llvm::enumerate(term.letters))
      if (isNeeded(letter, others))
        kept.push_back(letter);
      else
        axes.push_back(static_cast<int64_t>(i));
    if (axes.empty() || !term.value)
      return term;
    return {n.reduce(nn::ReduceKind::Sum, term.value, axes, false), kept};
  }

  /// The term with its dimensions in the order of `letters`; those that it lacks have size 1.
  Value order(const Term &term, StringRef letters) {
    if (!term.value)
      return nullptr;
    SmallVector<int64_t> permutation, shape;
    for (char letter : letters) {
      if (term.has(letter))
        permutation.push_back(static_cast<int64_t>(term.letters.find(letter)));
      shape.push_back(term.size(letter));
    }
    return n.reshape(n.transpose(term.value, permutation), shape);
  }

  /// Dimensions `first` of the letters, then those of `second`, as two; with the batch before them.
  Value asMatrix(const Term &term, StringRef batch, StringRef first, StringRef second) {
    SmallVector<int64_t> shape;
    for (char letter : batch)
      shape.push_back(term.size(letter));
    for (StringRef group : {first, second}) {
      int64_t size = 1;
      for (char letter : group)
        size *= term.size(letter);
      shape.push_back(size);
    }
    return n.reshape(order(term, (batch + first + second).str()), shape);
  }

  /// left = left x right, summed over what is shared and needed no more.
  void contract(Term &left, Term right, ArrayRef<Term> rest) {
    SmallVector<Term> others(rest);
    others.push_back(right);
    Term a = sumOut(left, others);
    others.back() = a;
    Term b = sumOut(right, others);
    std::string batch, summed, rows, columns;
    for (char letter : a.letters)
      if (!b.has(letter))
        rows.push_back(letter);
      else if (isNeeded(letter, rest) || a.size(letter) != b.size(letter))
        batch.push_back(letter);
      else
        summed.push_back(letter);
    for (char letter : b.letters)
      if (!a.has(letter))
        columns.push_back(letter);
    if (!a.value || !b.value)
      return;
    Value product = n.matmul(asMatrix(a, batch, rows, summed), asMatrix(b, batch, summed, columns));
    SmallVector<int64_t> shape;
    for (char letter : batch)
      shape.push_back(std::max(a.size(letter), b.size(letter)));
    for (char letter : rows)
      shape.push_back(a.size(letter));
    for (char letter : columns)
      shape.push_back(b.size(letter));
    left = {n.reshape(product, shape), batch + rows + columns};
    left = sumOut(left, rest);
  }

  Node &n;
  std::string result;
  int64_t wide = 0;
};

void lowerEinsum(Node &n) { n.give(Einsum(n).run()); }

} // namespace

void mpopt::onnx::addEinsum(LoweringTable &table) { table["Einsum"] = lowerEinsum; }
