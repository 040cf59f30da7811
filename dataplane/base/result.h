// result.h -- a value or an Error: the subset of std::expected that we use.
// Thread: any.   Replace by std::expected when the compiler has it; the spelling is the same.
#pragma once

#include <new>
#include <utility>

#include "dataplane/base/check.h"
#include "dataplane/base/error.h"

namespace headgate {

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(const T& value) : ok_(true) { new (&value_) T(value); }        // NOLINT: implicit on purpose
  Result(T&& value) : ok_(true) { new (&value_) T(std::move(value)); }  // NOLINT
  Result(const Error& error) : ok_(false), error_(error) {}             // NOLINT

  Result(Result&& other) noexcept : ok_(other.ok_) { take(std::move(other)); }
  Result& operator=(Result&& other) noexcept {
    if (this == &other) return *this;
    destroy();
    ok_ = other.ok_;
    take(std::move(other));
    return *this;
  }
  Result(const Result& other) : ok_(other.ok_) {
    if (ok_) {
      new (&value_) T(other.value_);
    } else {
      new (&error_) Error(other.error_);
    }
  }
  Result& operator=(const Result& other) {
    Result copy(other);
    return *this = std::move(copy);
  }
  ~Result() { destroy(); }

  [[nodiscard]] bool has_value() const { return ok_; }
  explicit operator bool() const { return ok_; }

  T& operator*() & {
    HG_DCHECK(ok_);
    return value_;
  }
  const T& operator*() const& {
    HG_DCHECK(ok_);
    return value_;
  }
  T&& operator*() && {
    HG_DCHECK(ok_);
    return std::move(value_);
  }
  T* operator->() {
    HG_DCHECK(ok_);
    return &value_;
  }
  const T* operator->() const {
    HG_DCHECK(ok_);
    return &value_;
  }
  [[nodiscard]] const Error& error() const {
    HG_DCHECK(!ok_);
    return error_;
  }
  template <typename U>
  T value_or(U&& other) const& {
    return ok_ ? value_ : static_cast<T>(std::forward<U>(other));
  }

 private:
  void take(Result&& other) {
    if (ok_) {
      new (&value_) T(std::move(other.value_));
    } else {
      new (&error_) Error(other.error_);
    }
  }
  void destroy() {
    if (ok_) value_.~T();
  }

  bool ok_;
  union {
    T value_;
    Error error_;
  };
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(const Error& error) : error_(error) {  // NOLINT: implicit on purpose
    HG_DCHECK(error.detail != nullptr);
    if (error.detail == nullptr) error_.detail = "";  // a failure stays one, whoever made it
  }

  [[nodiscard]] bool has_value() const { return error_.detail == nullptr; }
  explicit operator bool() const { return has_value(); }
  [[nodiscard]] const Error& error() const {
    HG_DCHECK(!has_value());
    return error_;
  }

 private:
  // The detail of an Error is never null: without it there is none, and the whole travels in two registers.
  Error error_{.detail = nullptr};
};

}  // namespace headgate

// Returns the error of a Result<void> to our caller. Values are unpacked in two visible lines instead.
#define HG_TRY(expr)                                       \
  do {                                                     \
    if (auto hg_result_ = (expr); !hg_result_.has_value()) \
      return hg_result_.error();                           \
  } while (false)
