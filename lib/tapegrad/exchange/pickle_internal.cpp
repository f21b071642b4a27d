#include "tapegrad/exchange/pickle_internal.h"

#include <algorithm>
#include <bit>
#include <utility>

// The opcodes are those of Python's pickletools.py, protocols 2 to 5.

namespace tapegrad::inline v0::detail {
namespace {

constexpr std::size_t kMostArguments = 8;  // which are copied: not more often than the file can pay for

}  // namespace

Pickle::Pickle(const InputFile& file, std::string bytes, std::span<const std::string_view> allowed)
    : file_(file), bytes_(std::move(bytes)), allowed_(allowed) {
  for (;;) {
    opcode_ = at_;
    const auto code = static_cast<std::uint8_t>(take(1)[0]);
    if (code == '.') break;
    if (!scalar(code) && !container(code) && !call(code) && !memory(code))
      fail_at(opcode_, fmt::format("has the opcode {:#x}, which no file of tensors needs", code));
  }
  root_ = pop();
  if (!stack_.empty() || !marks_.empty()) fail_at(opcode_, "ends before its values are complete");
}

void Pickle::fail_at(std::size_t place, std::string_view message) const {
  file_.fail("cannot be read: its data.pkl, at byte {}, {}", place, message);
}

std::string_view Pickle::take(std::size_t count) {
  if (count > bytes_.size() - at_) fail_at(opcode_, "is cut off");
  const std::string_view taken = std::string_view(bytes_).substr(at_, count);
  at_ += count;
  return taken;
}

std::string_view Pickle::line() {
  const std::size_t end = bytes_.find('\n', at_);
  if (end == std::string::npos) fail_at(opcode_, "is cut off");
  const std::string_view text = take(end - at_);
  take(1);
  return text;
}

std::uint64_t Pickle::number(std::size_t bytes) {
  std::uint64_t value = 0;
  const std::string_view taken = take(bytes);
  for (std::size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<std::uint8_t>(taken[i]);
  return value;
}

PickleValue& Pickle::push(Kind kind) {
  stack_.push_back(static_cast<std::uint32_t>(values_.size()));
  PickleValue& value = values_.emplace_back();
  value.kind = kind;
  value.place = static_cast<std::uint32_t>(opcode_);
  return value;
}

void Pickle::push_text(std::uint64_t length) {
  if (length > bytes_.size() - at_)
    fail_at(opcode_, fmt::format("has a string of {} bytes, which ends behind the file", length));
  push(Kind::Text).text = take(static_cast<std::size_t>(length));
}

// A whole number of any length, in two's complement.
void Pickle::push_long(std::size_t length) {
  const std::string_view bytes = take(length);
  const bool negative = !bytes.empty() && (static_cast<std::uint8_t>(bytes.back()) & 0x80) != 0;
  const bool is_large = length == 9 && bytes.back() == 0;
  if (length > 8 && !is_large) fail_at(opcode_, "has a whole number that 64 bits do not hold");
  std::uint64_t bits = negative ? ~std::uint64_t{0} : 0;
  for (std::size_t i = std::min<std::size_t>(length, 8); i-- > 0;)
    bits = bits << 8 | static_cast<std::uint8_t>(bytes[i]);
  push(is_large && static_cast<std::int64_t>(bits) < 0 ? Kind::UInt : Kind::Int).whole =
      static_cast<std::int64_t>(bits);
}

void Pickle::push_global(std::string_view module, std::string_view name) {
  std::string full = fmt::format("{}.{}", module, name);
  if (std::ranges::find(allowed_, full) == allowed_.end())
    fail_at(
        opcode_,
        fmt::format(
            "asks for '{}'. Tensors, dicts, lists, numbers and strings can be read, and no code is run: save "
            "model.state_dict() instead of the model, and float(x) instead of an object",
            full));
  push(Kind::Global).text = names_.emplace_back(std::move(full));
}

std::uint32_t Pickle::pop() {
  if (stack_.empty() || (!marks_.empty() && marks_.back() >= stack_.size()))
    fail_at(opcode_, "takes a value where there is none");
  const std::uint32_t value = stack_.back();
  stack_.pop_back();
  return value;
}

PickleValue& Pickle::top() {
  const std::uint32_t number = pop();
  stack_.push_back(number);
  return values_[number];
}

std::vector<std::uint32_t> Pickle::pop_to_mark() {
  if (marks_.empty()) fail_at(opcode_, "ends a list that never began");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<std::uint32_t> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

void Pickle::append(Kind kind, const std::vector<std::uint32_t>& items) {
  PickleValue& to = top();
  if (to.kind != kind || (kind == Kind::Dict && items.size() % 2 != 0))
    fail_at(opcode_, "adds items to what does not hold any");
  to.items.insert(to.items.end(), items.begin(), items.end());
}

void Pickle::remember(std::uint64_t number) {
  memo_[number] = pop();
  stack_.push_back(memo_[number]);
}

void Pickle::recall(std::uint64_t number) {
  const auto found = memo_.find(number);
  if (found == memo_.end())
    fail_at(opcode_, fmt::format("takes the value {}, which it has not made yet", number));
  stack_.push_back(found->second);
}

// OrderedDict() and torch.Size((2, 3)) are what they hold; other calls stay calls.
void Pickle::reduce() {
  const std::uint32_t arguments = pop(), function = pop();
  if (values_[function].kind != Kind::Global || values_[arguments].kind != Kind::Tuple)
    fail_at(opcode_, "calls what is not a function");
  const std::string_view name = values_[function].text;
  if (values_[arguments].items.size() > kMostArguments)
    fail_at(opcode_, "calls a function with too many arguments");
  const std::vector<std::uint32_t> given = values_[arguments].items;
  if (name == "collections.OrderedDict") {
    if (!given.empty()) fail_at(opcode_, "makes an OrderedDict of items, which torch.save() does not");
    push(Kind::Dict);
  } else if (name == "torch.Size") {
    if (given.size() != 1 || values_[given[0]].kind != Kind::Tuple)
      fail_at(opcode_, "makes a torch.Size of no tuple");
    stack_.push_back(given[0]);
  } else {
    PickleValue& call = push(Kind::Call);
    call.items = {function};
    call.items.insert(call.items.end(), given.begin(), given.end());
  }
}

bool Pickle::scalar(std::uint8_t code) {
  switch (code) {
    case 'N':
      push(Kind::None);
      return true;
    case 0x88:  // NEWTRUE
    case 0x89:  // NEWFALSE
      push(Kind::Bool).whole = code == 0x88 ? 1 : 0;
      return true;
    case 'J':  // BININT, which is signed
      push(Kind::Int).whole = static_cast<std::int32_t>(number(4));
      return true;
    case 'K':
      push(Kind::Int).whole = static_cast<std::int64_t>(number(1));
      return true;
    case 'M':
      push(Kind::Int).whole = static_cast<std::int64_t>(number(2));
      return true;
    case 0x8a:  // LONG1
      push_long(static_cast<std::size_t>(number(1)));
      return true;
    case 'G': {  // BINFLOAT, the one number whose first byte is the highest
      std::uint64_t bits = 0;
      for (const char byte : take(8)) bits = bits << 8 | static_cast<std::uint8_t>(byte);
      push(Kind::Float).real = std::bit_cast<double>(bits);
      return true;
    }
    case 0x8c:  // SHORT_BINUNICODE
      push_text(number(1));
      return true;
    case 'X':
      push_text(number(4));
      return true;
    case 0x8d:  // BINUNICODE8
      push_text(number(8));
      return true;
    default:
      return false;
  }
}

bool Pickle::container(std::uint8_t code) {
  switch (code) {
    case '(':
      marks_.push_back(stack_.size());
      return true;
    case ')':
      push(Kind::Tuple);
      return true;
    case ']':
      push(Kind::List);
      return true;
    case '}':
      push(Kind::Dict);
      return true;
    case 't': {
      std::vector<std::uint32_t> items = pop_to_mark();
      push(Kind::Tuple).items = std::move(items);
      return true;
    }
    case 0x85:  // TUPLE1
    case 0x86:
    case 0x87: {
      std::vector<std::uint32_t> items(code - 0x84u);
      for (std::size_t i = items.size(); i-- > 0;) items[i] = pop();
      push(Kind::Tuple).items = std::move(items);
      return true;
    }
    case 'a':
      append(Kind::List, {pop()});
      return true;
    case 'e':
      append(Kind::List, pop_to_mark());
      return true;
    case 's': {
      const std::uint32_t value = pop(), key = pop();
      append(Kind::Dict, {key, value});
      return true;
    }
    case 'u':
      append(Kind::Dict, pop_to_mark());
      return true;
    default:
      return false;
  }
}

bool Pickle::call(std::uint8_t code) {
  switch (code) {
    case 'c': {
      const std::string_view module = line();
      push_global(module, line());
      return true;
    }
    case 0x93: {  // STACK_GLOBAL
      const PickleValue &name = values_[pop()], &module = values_[pop()];
      if (name.kind != Kind::Text || module.kind != Kind::Text)
        fail_at(opcode_, "names a function by no string");
      push_global(module.text, name.text);
      return true;
    }
    case 'R':
      reduce();
      return true;
    case 'Q': {  // BINPERSID
      const std::uint32_t described = pop();
      if (values_[described].kind != Kind::Tuple || values_[described].items.size() > kMostArguments)
        fail_at(opcode_, "describes a storage by what is not five values");
      std::vector<std::uint32_t> items = values_[described].items;
      push(Kind::Persistent).items = std::move(items);
      return true;
    }
    case 'b': {  // BUILD gives an OrderedDict attributes: what a state_dict says about its modules
      pop();
      if (top().kind != Kind::Dict) fail_at(opcode_, "gives attributes to what is not a dict");
      return true;
    }
    default:
      return false;
  }
}

bool Pickle::memory(std::uint8_t code) {
  switch (code) {
    case 0x80:  // PROTO
      if (const auto protocol = number(1); protocol < 2 || protocol > 5)
        fail_at(opcode_, fmt::format("is of pickle's protocol {}; 2 to 5 can be read", protocol));
      return true;
    case 0x95:  // FRAME, whose length nobody needs
      number(8);
      return true;
    case 'q':
      remember(number(1));
      return true;
    case 'r':
      remember(number(4));
      return true;
    case 0x94:  // MEMOIZE
      remember(memo_.size());
      return true;
    case 'h':
      recall(number(1));
      return true;
    case 'j':
      recall(number(4));
      return true;
    default:
      return false;
  }
}

}  // namespace tapegrad::inline v0::detail
