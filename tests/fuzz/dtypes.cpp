// Conversions between dtypes: cast(), full(), tensor(), set() and at(), with any bits, against what the types can hold.

#include <cmath>
#include <limits>
#include <type_traits>

#include "fuzz.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/tensor/tensor.h"

using namespace tapegrad;

namespace {

constexpr DType kDTypes[] = {DType::Float32, DType::Float64, DType::Int32, DType::UInt8};

/// Whether To has the number v, once what is behind the point is cut off.
template <class To>
bool holds(double v) {
  if constexpr (std::is_integral_v<To>)
    return std::trunc(v) >= static_cast<double>(std::numeric_limits<To>::min()) &&
           std::trunc(v) <= static_cast<double>(std::numeric_limits<To>::max());
  else
    return true;
}

bool same(double a, double b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

template <class From, class To>
void check_cast(fuzz::Draw& draw) {
  std::vector<From> numbers(static_cast<std::size_t>(draw.integer(0, 9)));
  bool fit = true;
  for (From& number : numbers) {
    number = draw.bits<From>();
    fit = fit && holds<To>(static_cast<double>(number));
  }
  Tensor y;
  const Tensor x = tensor(numbers, {static_cast<index_t>(numbers.size())});
  const bool accepted = fuzz::accepts("cast", [&] { y = cast(x, dtype_of<To>); });
  if (accepted != fit) fuzz::found("cast accepts what does not fit, or refuses what does");
  if (!accepted) return;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    if (!same(static_cast<double>(y.values<To>()[i]), static_cast<double>(static_cast<To>(numbers[i]))))
      fuzz::found("cast gives another number");
  if (std::is_same_v<To, double> && !equal(cast(y, dtype_of<From>), x)) {
    for (const From number : numbers)
      if (number == number)
        continue;
      else
        return;  // NaN equals nothing
    fuzz::found("a cast to Float64 and back changes numbers");
  }
}

template <class To>
void check_number(double number) {
  constexpr bool kWhole = std::is_integral_v<To>;
  const bool fits = holds<To>(number) && (!kWhole || number == std::trunc(number));
  const auto check = [&](const char* op, const auto& make) {
    double made = 0;
    const bool accepted = fuzz::accepts(op, [&] { made = make(); });
    if (kWhole && accepted != fits)
      fuzz::found(std::string(op) + " accepts what does not fit, or refuses what does");
    // Of floating dtypes the op may refuse what would become infinite.
    if (!kWhole && !accepted && !std::isinf(static_cast<double>(static_cast<To>(number))))
      fuzz::found(std::string(op) + " refuses a number that fits");
    if (accepted && !same(made, static_cast<double>(static_cast<To>(number))) &&
        !(kWhole && made == 0 && number == 0))
      fuzz::found(std::string(op) + " gives another number");
  };
  check("full", [&] { return full({2}, number, dtype_of<To>).at({1}); });
  check("tensor", [&] { return tensor({number, 0}, dtype_of<To>).at({0}); });
  check("set", [&] {
    Tensor x = zeros({2, 2}, dtype_of<To>);
    x.set({1, -2}, number);
    return x.at({-1, 0});
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Draw draw({data, size});
  const DType from = draw.one_of(kDTypes), to = draw.one_of(kDTypes);
  if (draw.chance(128)) {
    const double number = draw.chance(128)
                              ? draw.bits<double>()
                              : static_cast<double>(draw.bits<std::int64_t>() >> draw.integer(0, 63));
    dispatch(to, [&]<class To>(std::type_identity<To>) { check_number<To>(number); });
  } else {
    dispatch(from, [&]<class From>(std::type_identity<From>) {
      dispatch(to, [&]<class To>(std::type_identity<To>) { check_cast<From, To>(draw); });
    });
  }
  return 0;
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  std::vector<std::pair<std::string, Bytes>> made;
  const auto add = [&]<class From>(const char* name, std::uint8_t from, std::uint8_t to,
                                   std::initializer_list<From> numbers) {
    Bytes file{from, to, 255, static_cast<std::uint8_t>(numbers.size())};
    for (const From number : numbers) {
      std::uint8_t raw[sizeof(From)];
      std::memcpy(raw, &number, sizeof(From));
      file.insert(file.end(), raw, raw + sizeof(From));
    }
    made.emplace_back(name, file);
  };
  add("float_to_int", 0, 2, {2147483520.0F, -2147483648.0F, 0.5F, -0.9F});
  add("double_to_byte", 1, 3, {255.99, -0.5, 0.0});
  add("double_to_float", 1, 0, {1e300, 3e-46, -0.0, std::numeric_limits<double>::quiet_NaN()});
  add("int_to_float", 2, 0, {16777217, -1, std::numeric_limits<std::int32_t>::max()});
  for (std::uint8_t to = 0; to < 4; ++to) {
    Bytes file{0, to, 0, 255};
    for (int i = 0; i < 8; ++i) file.push_back(static_cast<std::uint8_t>(i == 0 ? 44 : i == 1 ? 1 : 0));
    file.push_back(0);
    made.emplace_back("number" + std::to_string(to), file);
  }
  return made;
}
