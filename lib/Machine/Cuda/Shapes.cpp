#include "mpopt/Machine/Gpu.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <sstream>
#include <tuple>

namespace mpopt::machine {

namespace {

using Shape = std::tuple<int64_t, int64_t, int64_t, int64_t>; ///< batch, m, n, k

/// Collects shapes in order, each once.
struct Shapes {
  void add(int64_t batch, int64_t m, int64_t n, int64_t k) {
    if (seen.insert({batch, m, n, k}).second)
      list.emplace_back(batch, m, n, k);
  }
  std::vector<Shape> list;
  std::set<Shape> seen;
};

/// The four products of a layer, and the gradients of the weights of its feed-forward block.
void addLayers(Shapes &shapes) {
  for (int64_t h : {768, 1024, 2048, 4096, 8192, 12288}) {
    for (int64_t tokens : {1, 16, 128, 512, 2048, 4096, 16384}) {
      shapes.add(1, tokens, 3 * h, h);
      shapes.add(1, tokens, h, h);
      shapes.add(1, tokens, 4 * h, h);
      shapes.add(1, tokens, h, 4 * h);
    }
    for (int64_t tokens : {512, 2048, 8192}) {
      shapes.add(1, h, 4 * h, tokens);
      shapes.add(1, h, h, tokens);
    }
  }
}

/// What one of eight ranks of tensor parallelism computes.
void addSlices(Shapes &shapes) {
  for (int64_t h : {4096, 8192, 12288})
    for (int64_t tokens : {2048, 8192}) {
      shapes.add(1, tokens, h / 2, h);
      shapes.add(1, tokens, h, h / 2);
      shapes.add(1, tokens, h, h / 8);
    }
}

void addEdges(Shapes &shapes) {
  for (int64_t side : {4096, 8192})
    for (int64_t depth : {32, 64, 128, 256, 512})
      shapes.add(1, side, side, depth);
  for (int64_t batch : {32, 128})
    for (int64_t sequence : {512, 2048}) {
      shapes.add(batch, sequence, sequence, 128);
      shapes.add(batch, sequence, 128, sequence);
    }
  for (int64_t h : {768, 4096})
    for (int64_t tokens : {128, 2048, 8192})
      for (int64_t vocabulary : {50257, 50304})
        shapes.add(1, tokens, vocabulary, h);
  for (int64_t tokens : {129, 1000, 2049, 4097})
    shapes.add(1, tokens, 4096, 4096);
  shapes.add(1, 2048, 4100, 4096);
  shapes.add(1, 2048, 4096, 4100);
  shapes.add(1, 2048, 4099, 4096);
  for (int64_t side : {2048, 4096, 8192})
    shapes.add(1, side, side, side);
}

/// Every fourth, and the large squares, which show the peak.
std::vector<Shape> partOf(const std::vector<Shape> &all) {
  std::vector<Shape> part;
  for (size_t i = 0; i < all.size(); ++i)
    if (i % 4 == 0 || i + 3 >= all.size())
      part.push_back(all[i]);
  return part;
}

const char *typeName(const ProductTiming &product) {
  if (product.type == DType::F32)
    return product.exact ? "f32x" : "f32";
  return name(product.type).data();
}

template <typename Number> bool readNumber(std::string_view text, Number &value) {
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size() && value > 0;
}

bool readProduct(const std::string &line, ProductTiming &product) {
  std::vector<std::string> cells;
  std::istringstream in(line);
  for (std::string cell; std::getline(in, cell, ',');)
    cells.push_back(cell);
  if (cells.size() != 6)
    return false;
  product.exact = cells[0] != "f32";
  auto type = parseDType(cells[0] == "f32x" ? "f32" : cells[0]);
  product.type = type.value_or(DType::Bool);
  return type && readNumber(cells[1], product.batch) && readNumber(cells[2], product.m) &&
         readNumber(cells[3], product.n) && readNumber(cells[4], product.k) && readNumber(cells[5], product.seconds) &&
         std::isfinite(product.seconds);
}

constexpr char kHeader[] = "type,batch,m,n,k,seconds";

} // namespace

double ProductTiming::bytes() const {
  double result = type == DType::F8 ? 2 : type == DType::I8 ? 4 : bytesOf(type);
  double size = bytesOf(type);
  return double(batch) * (size * (double(m) * double(k) + double(k) * double(n)) + result * double(m) * double(n));
}

bool ProductTiming::aligned() const {
  double size = bytesOf(type);
  return std::fmod(double(n) * size, 16) == 0 && std::fmod(double(k) * size, 16) == 0;
}

std::vector<ProductTiming> productShapes() {
  Shapes shapes;
  addLayers(shapes);
  addSlices(shapes);
  addEdges(shapes);
  std::vector<Shape> part = partOf(shapes.list);
  std::vector<ProductTiming> products;
  auto add = [&](DType type, bool exact, const std::vector<Shape> &list) {
    for (auto [batch, m, n, k] : list)
      products.push_back({type, exact, batch, m, n, k, 0});
  };
  add(DType::BF16, true, shapes.list);
  add(DType::F16, true, shapes.list);
  add(DType::F32, false, part);
  add(DType::F8, true, part);
  add(DType::I8, true, part);
  // These run at a tenth of the rate: what shows their peak.
  for (int64_t side : {2048, 4096, 8192}) {
    add(DType::F32, true, {{1, side, side, side}});
    add(DType::F64, true, {{1, side, side, side}});
  }
  return products;
}

std::string toCsv(const std::vector<ProductTiming> &products) {
  std::ostringstream out;
  out << kHeader << "\n";
  for (const ProductTiming &product : products)
    out << typeName(product) << "," << product.batch << "," << product.m << "," << product.n << "," << product.k << ","
        << product.seconds << "\n";
  return out.str();
}

Result<std::vector<ProductTiming>> parseProducts(const std::string &csv, const std::string &origin) {
  std::vector<ProductTiming> products;
  std::istringstream in(csv);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    bool isHeader = number == 1;
    if (isHeader ? line != kHeader : !readProduct(line, products.emplace_back()))
      return error(origin + ":" + std::to_string(number) + ": not a timed product; write " +
                   (isHeader ? std::string("the header ") + kHeader : "its type, four sizes and seconds"));
  }
  return products;
}

} // namespace mpopt::machine
