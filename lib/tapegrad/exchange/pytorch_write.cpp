#include <bit>
#include <set>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/json_internal.h"
#include "tapegrad/exchange/layout_internal.h"
#include "tapegrad/exchange/pytorch.h"
#include "tapegrad/io/zip_internal.h"
#include "tapegrad/nn/class_internal.h"
#include "tapegrad/nn/normalization.h"
#include "tapegrad/ops/create.h"

namespace tapegrad::inline v0 {
namespace {

constexpr std::string_view kWrite = "write_pytorch";

std::string_view storage_class(DType dtype) {
  switch (dtype) {
    case DType::Float64:
      return "DoubleStorage";
    case DType::Int32:
      return "IntStorage";
    case DType::UInt8:
      return "ByteStorage";
    case DType::Float32:
      break;
  }
  return "FloatStorage";
}

/// A pickle of protocol 2, as Python's pickletools.py describes it.
class PickleWriter {
 public:
  void code(std::string_view opcodes) { bytes_ += opcodes; }
  void little(std::uint64_t value, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) bytes_ += static_cast<char>(value >> (8 * i));
  }
  void text(std::string_view text) {
    bytes_ += 'X';
    little(text.size(), 4);
    bytes_ += text;
  }
  void global(std::string_view module, std::string_view name) {
    bytes_ += fmt::format("c{}\n{}\n", module, name);
  }
  /// Nine bytes, of which the highest is the sign.
  void whole(std::uint64_t value) {
    code("\x8a\x09");
    little(value, 8);
    little(0, 1);
  }
  void real(double value) {
    bytes_ += 'G';
    const auto bits = std::bit_cast<std::uint64_t>(value);
    for (int shift = 56; shift >= 0; shift -= 8) bytes_ += static_cast<char>(bits >> shift);
  }
  void tuple(const std::vector<std::uint64_t>& values) {
    bytes_ += '(';
    for (const std::uint64_t value : values) whole(value);
    bytes_ += 't';
  }
  std::span<const std::uint8_t> bytes() const {
    return {reinterpret_cast<const std::uint8_t*>(bytes_.data()), bytes_.size()};
  }

 private:
  std::string bytes_;
};

// torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, requires_grad=False, OrderedDict())
void write_tensor(PickleWriter& to, const Tensor& x, std::string_view key) {
  std::vector<std::uint64_t> sizes, strides(static_cast<std::size_t>(x.rank()), 1);
  for (const index_t size : x.shape()) sizes.push_back(static_cast<std::uint64_t>(size));
  for (std::size_t axis = sizes.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * sizes[axis];
  to.global("torch._utils", "_rebuild_tensor_v2");
  to.code("((");
  to.text("storage");
  to.global("torch", storage_class(x.dtype()));
  to.text(key);
  to.text("cpu");
  to.whole(static_cast<std::uint64_t>(x.size()));
  to.code("tQ");
  to.whole(0);
  to.tuple(sizes);
  to.tuple(strides);
  to.code("\x89");
  to.global("collections", "OrderedDict");
  to.code(")RtR");
}

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

void write_pytorch(const std::filesystem::path& path, const State& state) {
  PickleWriter pickle;
  pickle.code("\x80\x02");
  pickle.global("collections", "OrderedDict");
  pickle.code(")R(");
  std::set<std::string_view> names;
  const auto key = [&](const std::string& name) {
    if (!names.insert(name).second) fail(kWrite, "two values are called '{}'", name);
    if (!detail::is_utf8(name)) fail(kWrite, "a name in the state is not UTF-8");
    pickle.text(name);
  };
  std::vector<detail::ZipContent> contents(1);
  for (const auto& [name, x] : state.tensors) {
    if (!x.defined()) fail(kWrite, "the tensor '{}' is not defined", name);
    key(name);
    const std::string storage = fmt::format("{}", contents.size() - 1);
    write_tensor(pickle, x, storage);
    const auto bytes = static_cast<std::size_t>(x.size()) * size_of(x.dtype());
    contents.push_back({"archive/data/" + storage,
                        {{reinterpret_cast<const std::uint8_t*>(TensorAccess::elements(x)), bytes}}});
  }
  for (const auto& [name, number] : state.numbers) {
    key(name);
    pickle.real(number);
  }
  for (const auto& [name, integer] : state.integers) {
    key(name);
    pickle.whole(integer);
  }
  pickle.code("u.");
  contents[0] = {"archive/data.pkl", {pickle.bytes()}};
  contents.push_back({"archive/version", {bytes_of("3\n")}});
  detail::write_zip(kWrite, path, contents, false);
}

State pytorch_state(Module& module, const PyTorchStateOptions& options) {
  const NoGrad no_grad;
  State state;
  for (const detail::ModuleTensor& own :
       detail::tensors_of("pytorch_state", module, {options.flattened, options.unflattened})) {
    if (own.is_generator()) continue;
    state.tensors.emplace_back(own.pytorch_path, detail::to_pytorch(own));
    if (detail::is_a<BatchNorm>(*own.owner) && own.pytorch_path.ends_with("running_var"))
      state.tensors.emplace_back(
          own.pytorch_path.substr(0, own.pytorch_path.rfind('.') + 1) + "num_batches_tracked",
          zeros({}, DType::Int32));
  }
  state.require_names_once("pytorch_state");
  return state.copy();
}

}  // namespace tapegrad::inline v0
