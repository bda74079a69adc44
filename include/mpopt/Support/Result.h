#ifndef MPOPT_SUPPORT_RESULT_H
#define MPOPT_SUPPORT_RESULT_H

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace mpopt {

/// What went wrong with a user's input: one sentence that says what, where (file, flag or ONNX node) and what to do.
struct Error {
  std::string message;
};

/// A value or an Error. For inputs that may be bad; broken invariants of our own code are asserts.
template <typename T> using Result = tl::expected<T, Error>;
using Status = tl::expected<void, Error>;

inline tl::unexpected<Error> error(std::string message) { return tl::unexpected<Error>(Error{std::move(message)}); }

} // namespace mpopt

#endif // MPOPT_SUPPORT_RESULT_H
