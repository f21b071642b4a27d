#pragma once

// Internal: Python's pickles, as far as torch.save() writes them. Nothing of a pickle is run: what would call a function
// becomes a value that names the function.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tapegrad/io/file_internal.h"

namespace tapegrad::inline v0::detail {

struct PickleValue {
  enum class Kind : std::uint8_t {
    None,
    Bool,
    Int,
    UInt,  ///< from 2^63 on
    Float,
    Text,
    List,
    Tuple,
    Dict,        ///< its items are key, value, key, value, ...
    Global,      ///< a function or class: text is "module.name"
    Call,        ///< its items are the function and what stands in the tuple of its arguments
    Persistent,  ///< what the file holds beside the pickle: its items describe it
  };
  Kind kind = Kind::None;
  std::uint32_t place = 0;  ///< in the pickle, in bytes
  std::int64_t whole = 0;   ///< of a Bool or Int; the bits of a UInt
  double real = 0;
  std::string_view text{};
  std::vector<std::uint32_t> items{};  ///< numbers of other values
};

/// A pickle as values that name each other by number; a value may be an item of several others, and of itself.
class Pickle {
 public:
  /// Reads the bytes of a pickle. Throws the file's error, which names the place, when they are none, when they call for
  /// anything but dicts, lists, tuples, numbers, strings and the globals that are allowed ("collections.OrderedDict").
  Pickle(const InputFile& file, std::string bytes, std::span<const std::string_view> allowed);

  const PickleValue& root() const { return values_[root_]; }
  const PickleValue& operator[](std::uint32_t number) const { return values_[number]; }
  const PickleValue& item(const PickleValue& of, std::size_t i) const { return values_[of.items[i]]; }
  std::size_t bytes() const { return bytes_.size(); }
  /// Throws the file's error about a value.
  template <class... Args>
  [[noreturn]] void fail(const PickleValue& at, fmt::format_string<Args...> message, Args&&... args) const {
    fail_at(at.place, fmt::format(message, std::forward<Args>(args)...));
  }

 private:
  using Kind = PickleValue::Kind;
  [[noreturn]] void fail_at(std::size_t place, std::string_view message) const;
  std::string_view take(std::size_t count);
  std::string_view line();
  std::uint64_t number(std::size_t bytes);
  PickleValue& push(Kind kind);
  void push_text(std::uint64_t length);
  void push_long(std::size_t length);
  void push_global(std::string_view module, std::string_view name);
  std::uint32_t pop();
  PickleValue& top();
  std::vector<std::uint32_t> pop_to_mark();
  void append(Kind kind, const std::vector<std::uint32_t>& items);
  void remember(std::uint64_t number);
  void recall(std::uint64_t number);
  void reduce();
  bool scalar(std::uint8_t code);
  bool container(std::uint8_t code);
  bool call(std::uint8_t code);
  bool memory(std::uint8_t code);

  const InputFile& file_;
  std::string bytes_;
  std::span<const std::string_view> allowed_;
  std::size_t at_ = 0, opcode_ = 0;
  std::deque<std::string> names_;  // of globals
  std::vector<PickleValue> values_;
  std::vector<std::uint32_t> stack_;
  std::vector<std::size_t> marks_;  // heights of the stack
  std::map<std::uint64_t, std::uint32_t> memo_;
  std::uint32_t root_ = 0;
};

}  // namespace tapegrad::inline v0::detail
