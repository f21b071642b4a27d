#pragma once

// ONNX models as bytes, for tests: nodes, initializers, inputs and outputs in few words.

#include <cstdint>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <utility>
#include <vector>

namespace tapegrad::testing {

/// Builds a model, message by message. What a model needs and nobody gave has a default: opset 13, an output "y".
class OnnxBytes {
 public:
  using Names = std::vector<std::string>;
  using Sizes = std::vector<std::int64_t>;

  /// An attribute: its name, and one of its kinds of value.
  struct Attribute {
    std::string name;
    std::string content;
    Attribute(std::string of, std::int64_t value) : name(std::move(of)) { begin(2).add_int64(3, value); }
    Attribute(std::string of, float value) : name(std::move(of)) { begin(1).add_float(2, value); }
    Attribute(std::string of, const std::string& value) : name(std::move(of)) {
      begin(3).add_bytes(4, value);
    }
    Attribute(std::string of, const Sizes& values) : name(std::move(of)) {
      auto writer = begin(7);
      for (const std::int64_t value : values) writer.add_int64(8, value);
    }

   private:
    protozero::pbf_writer begin(std::int32_t type) {
      protozero::pbf_writer writer(content);
      writer.add_string(1, name);
      writer.add_int32(20, type);
      return writer;
    }
  };

  OnnxBytes& node(const std::string& op, const Names& inputs, const Names& outputs,
                  const std::vector<Attribute>& attributes = {}, const std::string& domain = "") {
    std::string bytes;
    protozero::pbf_writer writer(bytes);
    for (const auto& name : inputs) writer.add_string(1, name);
    for (const auto& name : outputs) writer.add_string(2, name);
    writer.add_string(4, op);
    for (const auto& attribute : attributes) writer.add_message(5, attribute.content);
    if (!domain.empty()) writer.add_string(7, domain);
    return graph(1, bytes);
  }
  OnnxBytes& initializer(const std::string& name, const Sizes& dims, const std::vector<float>& values) {
    return tensor(name, dims, 1,
                  {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  }
  OnnxBytes& initializer(const std::string& name, const Sizes& dims,
                         const std::vector<std::int64_t>& values) {
    return tensor(name, dims, 7,
                  {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(std::int64_t)});
  }
  /// A tensor with these bytes as its elements, and with these entries that say where external ones lie.
  OnnxBytes& tensor(const std::string& name, const Sizes& dims, std::int32_t type, const std::string& raw,
                    const std::vector<std::pair<std::string, std::string>>& external = {}) {
    std::string bytes;
    protozero::pbf_writer writer(bytes);
    for (const std::int64_t size : dims) writer.add_int64(1, size);
    writer.add_int32(2, type);
    writer.add_string(8, name);
    if (external.empty()) writer.add_bytes(9, raw);
    for (const auto& [key, value] : external) {
      std::string entry;
      protozero::pbf_writer inner(entry);
      inner.add_string(1, key);
      inner.add_string(2, value);
      writer.add_message(13, entry);
    }
    if (!external.empty()) writer.add_int32(14, 1);
    return graph(5, bytes);
  }
  /// Sizes of -1 are dynamic.
  OnnxBytes& input(const std::string& name, const Sizes& dims, std::int32_t type = 1) {
    return graph(11, value_info(name, dims, type));
  }
  OnnxBytes& output(const std::string& name) {
    has_output_ = true;
    return graph(12, value_info(name, {}, 1));
  }
  /// A field of the graph, as it is.
  OnnxBytes& graph(std::uint32_t field, const std::string& content) {
    protozero::pbf_writer(graph_).add_message(field, content);
    return *this;
  }

  std::vector<std::uint8_t> bytes(std::int64_t opset = 13) {
    if (!has_output_) output("y");
    std::string made, version;
    protozero::pbf_writer(version).add_int64(2, opset);
    protozero::pbf_writer writer(made);
    writer.add_int64(1, 8);
    writer.add_message(7, graph_);
    writer.add_message(8, version);
    return {made.begin(), made.end()};
  }

 private:
  static std::string value_info(const std::string& name, const Sizes& dims, std::int32_t type) {
    std::string shape, tensor, types, info;
    for (const std::int64_t size : dims) {
      std::string dim;
      if (size < 0)
        protozero::pbf_writer(dim).add_string(2, "n");
      else
        protozero::pbf_writer(dim).add_int64(1, size);
      protozero::pbf_writer(shape).add_message(1, dim);
    }
    protozero::pbf_writer(tensor).add_int32(1, type);
    if (!dims.empty()) protozero::pbf_writer(tensor).add_message(2, shape);
    protozero::pbf_writer(types).add_message(1, tensor);
    protozero::pbf_writer(info).add_string(1, name);
    protozero::pbf_writer(info).add_message(2, types);
    return info;
  }

  std::string graph_;
  bool has_output_ = false;
};

}  // namespace tapegrad::testing
