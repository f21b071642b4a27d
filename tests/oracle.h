#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace tapegrad::testing {

/// One case of a set of reference numbers (fixtures/README.md): attributes, and tensors by name.
class OracleCase {
 public:
  std::string name, op;
  std::map<std::string, std::vector<std::string>> attributes;
  struct Place {
    Shape shape;
    std::size_t offset;
  };
  std::map<std::string, Place> places;
  std::shared_ptr<const std::vector<double>> numbers;  // of the whole set

  bool has(const std::string& tensor_or_attribute) const {
    return attributes.contains(tensor_or_attribute) || places.contains(tensor_or_attribute);
  }
  std::string text(const std::string& attribute) const { return found(attributes, attribute).front(); }
  double number(const std::string& attribute) const { return std::stod(text(attribute)); }
  double number(const std::string& attribute, double otherwise) const {
    return has(attribute) ? number(attribute) : otherwise;
  }
  bool flag(const std::string& attribute) const { return has(attribute) && text(attribute) == "true"; }
  template <class T = index_t>
  std::vector<T> integers(const std::string& attribute) const {
    std::vector<T> values;
    for (const std::string& word : found(attributes, attribute))
      values.push_back(static_cast<T>(std::stoll(word)));
    return values;
  }
  Tensor tensor(const std::string& tensor_name, DType dtype = DType::Float64) const {
    const Place& place = found(places, tensor_name);
    const auto first = numbers->begin() + static_cast<std::ptrdiff_t>(place.offset);
    return cast(tapegrad::tensor(std::vector<double>(first, first + place.shape.size()), place.shape), dtype);
  }

 private:
  template <class Map>
  const typename Map::mapped_type& found(const Map& map, const std::string& key) const {
    const auto at = map.find(key);
    if (at == map.end()) throw std::runtime_error(name + " has no " + key);
    return at->second;
  }
};

inline std::string fixture(const std::string& file) {
  return std::string(TAPEGRAD_FIXTURES) + "/" + file;
}

/// The elements of an .npy file that holds one little-endian float64 vector.
inline std::vector<double> read_vector(const std::string& path) {
  static_assert(std::endian::native == std::endian::little);
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (bytes.size() < 10) throw std::runtime_error("cannot read " + path);
  const std::size_t begin = 10u + static_cast<unsigned char>(bytes[8]) +
                            256u * static_cast<std::size_t>(static_cast<unsigned char>(bytes[9]));
  std::vector<double> values((bytes.size() - begin) / sizeof(double));
  std::memcpy(values.data(), bytes.data() + begin, values.size() * sizeof(double));
  return values;
}

/// All cases of a set, in their order. A set without tensors has no .npy.
inline std::vector<OracleCase> read_oracle(const std::string& set) {
  std::ifstream index(fixture(set + ".index.txt"));
  if (!index) throw std::runtime_error("cannot read " + fixture(set + ".index.txt"));
  std::vector<OracleCase> cases;
  std::shared_ptr<const std::vector<double>> numbers;
  for (std::string line; std::getline(index, line);) {
    std::istringstream words(line);
    std::string kind, name, word;
    words >> kind >> name;
    if (kind == "case") {
      cases.emplace_back().name = name;
      words >> cases.back().op;
    } else if (kind == "attr") {
      auto& values = cases.back().attributes[name];
      while (words >> word) values.push_back(word);
    } else if (kind == "tensor") {
      if (!numbers) numbers = std::make_shared<const std::vector<double>>(read_vector(fixture(set + ".npy")));
      cases.back().numbers = numbers;
      std::size_t rank = 0, offset = 0;
      words >> rank;
      std::vector<index_t> sizes(rank);
      for (index_t& size : sizes) words >> size;
      words >> offset;
      const Shape shape(sizes);
      if (!words || offset + static_cast<std::size_t>(shape.size()) > numbers->size())
        throw std::runtime_error(set + ": " + line);
      cases.back().places[name] = {shape, offset};
    } else if (kind != "end") {
      throw std::runtime_error(set + ": " + line);
    }
  }
  return cases;
}

/// Expects actual to have expected's shape and |actual - expected| <= tolerance * max(1, |expected|) in every
/// element, whatever the dtypes. `what` says in a failure which case and tensor it was.
inline void expect_close(const Tensor& actual, const Tensor& expected, double tolerance,
                         const std::string& what) {
  ASSERT_TRUE(actual.defined()) << what;
  ASSERT_EQ(actual.shape().str(), expected.shape().str()) << what;
  const Tensor a = cast(stop_gradient(actual), DType::Float64);
  const Tensor b = cast(stop_gradient(expected), DType::Float64);
  double worst = 0;
  index_t where = -1;
  for (index_t i = 0; i < a.size(); ++i) {
    const double p = a.data<double>()[i], q = b.data<double>()[i];
    const double error = std::abs(p - q) / std::max(1.0, std::abs(q));
    if (error <= worst) continue;
    worst = error;
    where = i;
    if (std::isnan(error)) break;
  }
  if (where < 0 || worst <= tolerance) return;
  std::vector<index_t> index(static_cast<std::size_t>(a.rank()));
  index_t rest = where;
  for (int axis = a.rank(); axis-- > 0; rest /= a.shape()[axis])
    index[static_cast<std::size_t>(axis)] = rest % a.shape()[axis];
  ADD_FAILURE() << what << ": element " << ::testing::PrintToString(index) << " of " << a.shape().str()
                << " is " << a.data<double>()[where] << " but must be " << b.data<double>()[where]
                << ", off by " << worst << ", more than " << tolerance;
}

/// The same for a tensor of a case.
inline void expect_close(const Tensor& actual, const OracleCase& reference, const std::string& tensor_name,
                         double tolerance) {
  expect_close(actual, reference.tensor(tensor_name), tolerance, reference.name + " " + tensor_name);
}

inline std::string type_name(DType dtype) {
  return to_string(dtype);
}

/// The sum of a * b, in double.
inline double inner_product(const Tensor& a, const Tensor& b) {
  const Tensor p = cast(a, DType::Float64), q = cast(b, DType::Float64);
  double total = 0;
  for (index_t i = 0; i < p.size(); ++i) total += p.data<double>()[i] * q.data<double>()[i];
  return total;
}

/// {2, 3} or {2, 2} from the attribute "2 3"; 1 if there is none.
inline Size2D size_attribute(const OracleCase& c, const std::string& attribute) {
  if (!c.has(attribute)) return 1;
  const auto values = c.integers(attribute);
  return {values.at(0), values.at(1)};
}

/// Strides, padding, dilations and groups of a convolution's case.
inline Conv2DOptions conv_options(const OracleCase& c) {
  Conv2DOptions options{.strides = size_attribute(c, "strides"),
                        .dilations = size_attribute(c, "dilations"),
                        .groups = c.has("groups") ? c.integers("groups").front() : 1};
  const std::string padding = c.text("padding");
  if (padding == "SAME")
    options.padding = Padding::Same;
  else if (padding == "FULL")
    options.padding = Padding::Full;
  else if (padding == "EXPLICIT") {
    const auto sides = c.integers("explicit_padding");
    options.padding = Padding::Explicit(sides.at(0), sides.at(1), sides.at(2), sides.at(3));
  } else if (padding != "VALID") {
    throw std::runtime_error(c.name + ": padding " + padding);
  }
  return options;
}

inline Conv2DTransposeOptions transpose_options(const OracleCase& c) {
  const Conv2DOptions options = conv_options(c);
  return {.strides = options.strides,
          .padding = options.padding,
          .dilations = options.dilations,
          .groups = options.groups};
}

}  // namespace tapegrad::testing
