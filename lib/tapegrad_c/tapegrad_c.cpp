// The C API: each function passes its arguments on to the C++ library, and turns what that throws into a status and a text.

#include "tapegrad_c.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

static_assert(TAPEGRAD_MAX_RANK == tg::Shape::kMaxRank);

// The text of the last error is part of the net, so that nothing of this library belongs to a thread.
struct tapegrad_net {
  explicit tapegrad_net(std::uint64_t seed) : generator(seed) {}

  void remember(const char* function, const char* what) noexcept {
    try {
      text = std::string(function) + ": " + what;
      error = text.c_str();
    } catch (...) {
      error = "out of memory";
    }
  }

  tg::Generator generator;
  tg::Sequential layers;
  std::unique_ptr<tg::Optimizer> optimizer;
  int threads = 0;
  std::string text;
  const char* error = "";
};

namespace {

class BufferTooSmall : public std::exception {
 public:
  explicit BufferTooSmall(std::string text) : text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument(what);
}

// The status of the exception that is being handled.
int status_of_exception(tapegrad_net& net, const char* function) noexcept {
  try {
    throw;
  } catch (const BufferTooSmall& error) {
    net.remember(function, error.what());
    return TAPEGRAD_TOO_SMALL;
  } catch (const std::bad_alloc&) {
    net.remember(function, "out of memory");
  } catch (const std::exception& error) {
    net.remember(function, error.what());
  } catch (...) {
    net.remember(function, "an unknown error");
  }
  return TAPEGRAD_FAILED;
}

// Calls body(net) for the function of this name with the net's number of threads: the border that no exception crosses.
template <class Body>
int call(tapegrad_net* net, const char* function, Body body) noexcept {
  if (net == nullptr) return TAPEGRAD_FAILED;
  try {
    std::optional<tg::ThreadCountScope> threads;
    if (net->threads != 0) threads.emplace(net->threads);
    body(*net);
    return TAPEGRAD_OK;
  } catch (...) {
    return status_of_exception(*net, function);
  }
}

void require(const std::string& name, const void* pointer) {
  if (pointer == nullptr) refuse(name + " must not be NULL");
}

template <class T>
const T& given(const char* name, const T* pointer) {
  require(name, pointer);
  return *pointer;
}

bool flag(const char* name, std::int32_t value) {
  if (value != 0 && value != 1) refuse(std::string(name) + " must be 0 or 1, got " + std::to_string(value));
  return value == 1;
}

tg::Activation activation_of(std::int32_t activation) {
  using Function = tg::Tensor (*)(const tg::Tensor&);
  static constexpr Function known[] = {nullptr,  tg::relu,    tg::leaky_relu, tg::elu,  tg::selu,   tg::gelu,
                                       tg::silu, tg::sigmoid, tg::softplus,   tg::tanh, tg::softmax};
  if (activation < 0 || activation >= static_cast<std::int32_t>(std::size(known)))
    refuse("activation must be one of TAPEGRAD_NO_ACTIVATION (0) to TAPEGRAD_SOFTMAX (10), got " +
           std::to_string(activation));
  return known[activation];
}

tg::Padding padding_of(std::int32_t padding) {
  if (padding != TAPEGRAD_VALID && padding != TAPEGRAD_SAME)
    refuse("padding must be TAPEGRAD_VALID (0) or TAPEGRAD_SAME (1), got " + std::to_string(padding));
  return padding == TAPEGRAD_SAME ? tg::Padding::Same : tg::Padding::Valid;
}

tg::Size2D size_of(const std::int64_t (&pair)[2]) {
  return {pair[0], pair[1]};
}

// The layer itself refuses such a size only when it computes.
tg::Size2D positive_size(const char* name, const std::int64_t (&pair)[2]) {
  for (const std::int64_t size : pair)
    if (size < 1) refuse(std::string(name) + " must be at least 1, got " + std::to_string(size));
  return size_of(pair);
}

std::span<const tg::index_t> sizes_of(const std::string& name, const tapegrad_shape* shape,
                                      int most = TAPEGRAD_MAX_RANK) {
  const std::int32_t rank = given(name.c_str(), shape).rank;
  if (rank < 0 || rank > most)
    refuse(name + ".rank must be 0 to " + std::to_string(most) + ", got " + std::to_string(rank));
  return {shape->sizes, static_cast<std::size_t>(rank)};
}

// A tensor on the caller's elements, which are read until the call ends.
template <class T>
tg::Tensor wrapped(const std::string& name, const T* elements, const tapegrad_shape* shape) {
  const tg::Shape sizes(sizes_of(name + "_shape", shape));
  require(name, elements);
  if (reinterpret_cast<std::uintptr_t>(elements) % alignof(T) != 0)
    refuse(name + " must lie at a multiple of " + std::to_string(alignof(T)) + " bytes");
  return tg::Tensor::wrap(elements, sizes);
}

// make(generator) is the layer. A layer that is refused draws no random numbers.
template <class Make>
void add(tapegrad_net& net, Make make) {
  if (net.optimizer)
    refuse("all layers must be added before the optimizer is chosen, which would not train this one");
  tg::Generator generator = net.generator;
  net.layers.add(make(generator));
  net.generator = generator;
}

template <class Options>
Options convolution(const tapegrad_conv2d_options* options) {
  const tapegrad_conv2d_options& from = given("options", options);
  Options to;
  to.in_channels = from.in_channels;
  to.filters = from.filters;
  to.kernel_size = size_of(from.kernel_size);
  to.strides = size_of(from.strides);
  to.padding = padding_of(from.padding);
  to.dilations = size_of(from.dilations);
  to.groups = from.groups;
  to.activation = activation_of(from.activation);
  to.use_bias = flag("use_bias", from.use_bias);
  return to;
}

// Results of the net's layers are no part of what a C++ program around this call records.
tg::Tensor run(tapegrad_net& net, const tg::Tensor& input) {
  const tg::NoGrad no_grad;
  net.layers.eval();
  return net.layers(input);
}

void write_output(const tg::Tensor& result, float* output, std::size_t capacity,
                  tapegrad_shape* output_shape) {
  const std::span<const float> values = result.values<float>();
  if (output_shape != nullptr) {
    *output_shape = {};
    output_shape->rank = result.rank();
    std::copy(result.shape().begin(), result.shape().end(), output_shape->sizes);
  }
  if (capacity < values.size())
    throw BufferTooSmall("output must hold the " + std::to_string(values.size()) + " elements of shape " +
                         result.shape().str() + ", got a capacity of " + std::to_string(capacity));
  if (!values.empty()) std::memmove(output, values.data(), values.size_bytes());
}

tg::Optimizer& optimizer_of(tapegrad_net& net) {
  if (!net.optimizer) refuse("an optimizer must be chosen before: tapegrad_use_adam() or tapegrad_use_sgd()");
  return *net.optimizer;
}

tg::TrainingState training_of(tapegrad_net& net) {
  tg::TrainingState state;
  state.add("net", net.layers).add("optimizer", optimizer_of(net));
  return state;
}

// The net's own tensor, of floats.
tg::Tensor tensor_of(tapegrad_net& net, const char* name) {
  require("name", name);
  std::string names;
  for (const auto& [known, tensor] : net.layers.state_view().tensors) {
    if (known == name) {
      if (tensor.dtype() != tg::DType::Float32) refuse("'" + known + "' holds no floats");
      return tensor;
    }
    names += (names.empty() ? "" : ", ") + known;
  }
  refuse("there is no tensor '" + std::string(name) + "', only: " + (names.empty() ? "none" : names));
}

template <class Loss>
double train(tapegrad_net& net, const tg::Tensor& input, Loss loss_of) {
  tg::Optimizer& optimizer = optimizer_of(net);
  const tg::NoGrad no_grad;  // of a tape around this call
  tg::Tape tape;
  net.layers.train();
  const tg::Tensor loss = loss_of(net.layers(input));
  optimizer.step(tape.gradient(loss, optimizer.parameters()));
  return loss.item();
}

}  // namespace

std::int32_t tapegrad_version() {
  return TAPEGRAD_VERSION;
}

tapegrad_net* tapegrad_net_new(std::uint64_t seed) {
  try {
    return new tapegrad_net(seed);
  } catch (...) {
    return nullptr;
  }
}

void tapegrad_net_free(tapegrad_net* net) {
  delete net;
}

const char* tapegrad_last_error(const tapegrad_net* net) {
  return net == nullptr
             ? "the net must not be NULL: tapegrad_net_new() had no memory for it, or was not called"
             : net->error;
}

int tapegrad_set_threads(tapegrad_net* net, std::int32_t threads) {
  return call(net, __func__, [&](tapegrad_net& self) {
    if (threads != 0) const tg::ThreadCountScope is_possible(threads);
    self.threads = threads;
  });
}

void tapegrad_release_memory() {
  try {
    tg::release_memory();
  } catch (...) {  // what there was no memory for is kept
  }
}

tapegrad_dense_options tapegrad_dense_default() {
  tapegrad_dense_options options = {};
  options.use_bias = 1;
  return options;
}

int tapegrad_add_dense(tapegrad_net* net, const tapegrad_dense_options* options) {
  return call(net, __func__, [&](tapegrad_net& self) {
    const tapegrad_dense_options& from = given("options", options);
    const tg::DenseOptions to{.in_features = from.in_features,
                              .units = from.units,
                              .activation = activation_of(from.activation),
                              .use_bias = flag("use_bias", from.use_bias)};
    add(self, [&](tg::Generator& generator) { return tg::Dense(to, generator); });
  });
}

tapegrad_conv2d_options tapegrad_conv2d_default() {
  tapegrad_conv2d_options options = {};
  for (std::int64_t* pair : {options.strides, options.dilations}) pair[0] = pair[1] = 1;
  options.groups = 1;
  options.use_bias = 1;
  return options;
}

int tapegrad_add_conv2d(tapegrad_net* net, const tapegrad_conv2d_options* options) {
  return call(net, __func__, [&](tapegrad_net& self) {
    const auto to = convolution<tg::Conv2DLayerOptions>(options);
    add(self, [&](tg::Generator& generator) { return tg::Conv2D(to, generator); });
  });
}

int tapegrad_add_conv2d_transpose(tapegrad_net* net, const tapegrad_conv2d_options* options) {
  return call(net, __func__, [&](tapegrad_net& self) {
    const auto to = convolution<tg::Conv2DTransposeLayerOptions>(options);
    add(self, [&](tg::Generator& generator) { return tg::Conv2DTranspose(to, generator); });
  });
}

tapegrad_max_pool2d_options tapegrad_max_pool2d_default() {
  tapegrad_max_pool2d_options options = {};
  options.pool_size[0] = options.pool_size[1] = 2;
  return options;
}

int tapegrad_add_max_pool2d(tapegrad_net* net, const tapegrad_max_pool2d_options* options) {
  return call(net, __func__, [&](tapegrad_net& self) {
    const tapegrad_max_pool2d_options& from = given("options", options);
    tg::Pool2DOptions to{.pool_size = positive_size("pool_size", from.pool_size),
                         .padding = padding_of(from.padding)};
    if (from.strides[0] != 0 || from.strides[1] != 0) to.strides = positive_size("strides", from.strides);
    add(self, [&](tg::Generator&) { return tg::MaxPooling2D(to); });
  });
}

tapegrad_batch_norm_options tapegrad_batch_norm_default() {
  const tg::BatchNormOptions from;
  return {from.channels, from.momentum, from.epsilon};
}

int tapegrad_add_batch_norm(tapegrad_net* net, const tapegrad_batch_norm_options* options) {
  return call(net, __func__, [&](tapegrad_net& self) {
    const tapegrad_batch_norm_options& from = given("options", options);
    const tg::BatchNormOptions to{
        .channels = from.channels, .momentum = from.momentum, .epsilon = from.epsilon};
    add(self, [&](tg::Generator&) { return tg::BatchNorm(to); });
  });
}

int tapegrad_add_activation(tapegrad_net* net, std::int32_t activation) {
  return call(net, __func__, [&](tapegrad_net& self) {
    const tg::Activation function = activation_of(activation);
    if (!function) refuse("activation must not be TAPEGRAD_NO_ACTIVATION");
    add(self, [&](tg::Generator&) { return tg::Lambda(function); });
  });
}

int tapegrad_add_dropout(tapegrad_net* net, double rate) {
  return call(net, __func__, [&](tapegrad_net& self) {
    add(self, [&](tg::Generator& generator) { return tg::Dropout(rate, generator); });
  });
}

int tapegrad_add_flatten(tapegrad_net* net) {
  return call(net, __func__,
              [&](tapegrad_net& self) { add(self, [](tg::Generator&) { return tg::Flatten(); }); });
}

int tapegrad_add_reshape(tapegrad_net* net, const tapegrad_shape* sample) {
  return call(net, __func__, [&](tapegrad_net& self) {
    const std::span<const tg::index_t> sizes = sizes_of("sample", sample, TAPEGRAD_MAX_RANK - 1);
    for (const tg::index_t size : sizes)
      if (size < -1)
        refuse("sample.sizes must be at least 0, or -1 for one of them, got " + std::to_string(size));
    if (std::ranges::count(sizes, -1) > 1) refuse("sample.sizes must hold at most one -1");
    add(self, [&](tg::Generator&) { return tg::Reshape({sizes.begin(), sizes.end()}); });
  });
}

int tapegrad_save_weights(tapegrad_net* net, const char* path) {
  return call(net, __func__, [&](tapegrad_net& self) {
    tg::write_safetensors(&given("path", path), self.layers.state_view());
  });
}

int tapegrad_load_weights(tapegrad_net* net, const char* path) {
  return call(net, __func__, [&](tapegrad_net& self) {
    self.layers.load_state(tg::read_safetensors(&given("path", path)));
  });
}

int tapegrad_load_pytorch_weights(tapegrad_net* net, const char* path) {
  return call(net, __func__, [&](tapegrad_net& self) {
    self.layers.load_state(tg::read_safetensors(&given("path", path)), {.layout = tg::Layout::OIHW});
  });
}

int tapegrad_parameter_count(tapegrad_net* net, std::int64_t* count) {
  return call(net, __func__, [&](tapegrad_net& self) {
    require("count", count);
    *count = self.layers.parameter_count();
  });
}

int tapegrad_get_tensor(tapegrad_net* net, const char* name, float* output, std::size_t capacity,
                        tapegrad_shape* output_shape) {
  return call(net, __func__, [&](tapegrad_net& self) {
    if (capacity > 0) require("output", output);
    write_output(tensor_of(self, name), output, capacity, output_shape);
  });
}

int tapegrad_set_tensor(tapegrad_net* net, const char* name, const float* values,
                        const tapegrad_shape* values_shape) {
  return call(net, __func__, [&](tapegrad_net& self) {
    tg::Tensor to = tensor_of(self, name);
    const tg::Tensor from = wrapped("values", values, values_shape);
    if (from.shape() != to.shape())
      refuse("values_shape must be " + to.shape().str() + ", the shape of '" + name + "', got " +
             from.shape().str());
    std::ranges::copy(from.values<float>(), to.mutable_values<float>().begin());
  });
}

int tapegrad_save_training(tapegrad_net* net, const char* path) {
  return call(net, __func__, [&](tapegrad_net& self) {
    tg::write_checkpoint(&given("path", path), {.state = training_of(self).state_view()});
  });
}

int tapegrad_load_training(tapegrad_net* net, const char* path) {
  return call(net, __func__, [&](tapegrad_net& self) {
    training_of(self).load_state(tg::read_checkpoint(&given("path", path)).state);
  });
}

int tapegrad_run(tapegrad_net* net, const float* input, const tapegrad_shape* input_shape, float* output,
                 std::size_t capacity, tapegrad_shape* output_shape) {
  return call(net, __func__, [&](tapegrad_net& self) {
    if (capacity > 0) require("output", output);
    write_output(run(self, wrapped("input", input, input_shape)), output, capacity, output_shape);
  });
}

tapegrad_adam_options tapegrad_adam_default() {
  const tg::AdamOptions from;
  return {from.learning_rate, from.beta1, from.beta2, from.epsilon, from.weight_decay};
}

int tapegrad_use_adam(tapegrad_net* net, const tapegrad_adam_options* options) {
  return call(net, __func__, [&](tapegrad_net& self) {
    const tapegrad_adam_options& from = given("options", options);
    self.optimizer = std::make_unique<tg::Adam>(self.layers.named_parameters(),
                                                tg::AdamOptions{.learning_rate = from.learning_rate,
                                                                .beta1 = from.beta1,
                                                                .beta2 = from.beta2,
                                                                .epsilon = from.epsilon,
                                                                .weight_decay = from.weight_decay});
  });
}

tapegrad_sgd_options tapegrad_sgd_default() {
  const tg::SGDOptions from;
  return {from.learning_rate, from.momentum, from.weight_decay, from.nesterov ? 1 : 0};
}

int tapegrad_use_sgd(tapegrad_net* net, const tapegrad_sgd_options* options) {
  return call(net, __func__, [&](tapegrad_net& self) {
    const tapegrad_sgd_options& from = given("options", options);
    self.optimizer = std::make_unique<tg::SGD>(self.layers.named_parameters(),
                                               tg::SGDOptions{.learning_rate = from.learning_rate,
                                                              .momentum = from.momentum,
                                                              .nesterov = flag("nesterov", from.nesterov),
                                                              .weight_decay = from.weight_decay});
  });
}

int tapegrad_set_learning_rate(tapegrad_net* net, double learning_rate) {
  return call(net, __func__,
              [&](tapegrad_net& self) { optimizer_of(self).set_learning_rate(learning_rate); });
}

int tapegrad_train_mse(tapegrad_net* net, const float* input, const tapegrad_shape* input_shape,
                       const float* target, const tapegrad_shape* target_shape, double* loss) {
  return call(net, __func__, [&](tapegrad_net& self) {
    const tg::Tensor x = wrapped("input", input, input_shape), y = wrapped("target", target, target_shape);
    const double value = train(self, x, [&](const tg::Tensor& result) { return tg::mse_loss(result, y); });
    if (loss != nullptr) *loss = value;
  });
}

int tapegrad_train_cross_entropy(tapegrad_net* net, const float* input, const tapegrad_shape* input_shape,
                                 const std::int32_t* labels, const tapegrad_shape* labels_shape,
                                 double* loss) {
  return call(net, __func__, [&](tapegrad_net& self) {
    const tg::Tensor x = wrapped("input", input, input_shape), y = wrapped("labels", labels, labels_shape);
    const double value =
        train(self, x, [&](const tg::Tensor& result) { return tg::cross_entropy(result, y); });
    if (loss != nullptr) *loss = value;
  });
}
