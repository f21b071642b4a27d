// Every function of the C API with every wrong kind of argument: a status, a text that names the function, and a net that is
// what it was.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "io/temporary.h"
#include "tapegrad/tapegrad.h"
#include "tapegrad_c/nets.h"

namespace tapegrad::testing {
namespace {

constexpr tapegrad_shape kIn = {2, {4, 2}}, kOut = {2, {4, 3}}, kLabels = {1, {4}};
const float kInput[8] = {1, 2, 3, 4, 5, 6, 7, 8};
const float kTarget[12] = {};
const std::int32_t kClasses[4] = {0, 1, 2, 0};
const double kNaN = std::numeric_limits<double>::quiet_NaN();

struct WrongCall {
  const char* function;
  std::string text;  // what the error says beside the function's name
  std::function<int(tapegrad_net*)> call;
};

// The default options, with one change.
template <class Options, class Change>
Options with(Options options, Change change) {
  change(options);
  return options;
}

int dense(tapegrad_net* net, const std::function<void(tapegrad_dense_options&)>& change) {
  tapegrad_dense_options options = tapegrad_dense_default();
  options.in_features = 3;
  options.units = 2;
  change(options);
  return tapegrad_add_dense(net, &options);
}

using AddConv2D = int (*)(tapegrad_net*, const tapegrad_conv2d_options*);

int conv2d(AddConv2D add, tapegrad_net* net, const std::function<void(tapegrad_conv2d_options&)>& change) {
  tapegrad_conv2d_options options = tapegrad_conv2d_default();
  options.in_channels = 4;
  options.filters = 2;
  options.kernel_size[0] = options.kernel_size[1] = 3;
  change(options);
  return add(net, &options);
}

std::vector<WrongCall> wrong_dense_and_convolutions() {
  const std::string bad_activation =
      "activation must be one of TAPEGRAD_NO_ACTIVATION (0) to TAPEGRAD_SOFTMAX (10), got ";
  std::vector<WrongCall> calls = {
      {"tapegrad_add_dense", "options must not be NULL",
       [](auto* n) { return tapegrad_add_dense(n, nullptr); }},
      {"tapegrad_add_dense", "in_features",
       [](auto* n) { return dense(n, [](auto& o) { o.in_features = 0; }); }},
      {"tapegrad_add_dense", "units", [](auto* n) { return dense(n, [](auto& o) { o.units = -1; }); }},
      {"tapegrad_add_dense", bad_activation + "11",
       [](auto* n) { return dense(n, [](auto& o) { o.activation = 11; }); }},
      {"tapegrad_add_dense", bad_activation + "-1",
       [](auto* n) { return dense(n, [](auto& o) { o.activation = -1; }); }},
      {"tapegrad_add_dense", "use_bias must be 0 or 1, got 2",
       [](auto* n) { return dense(n, [](auto& o) { o.use_bias = 2; }); }},
      {"tapegrad_add_dense", "memory",
       [](auto* n) { return dense(n, [](auto& o) { o.in_features = std::int64_t{1} << 40; }); }},
  };
  const std::pair<const char*, AddConv2D> both[] = {
      {"tapegrad_add_conv2d", tapegrad_add_conv2d},
      {"tapegrad_add_conv2d_transpose", tapegrad_add_conv2d_transpose}};
  for (const auto& pair : both) {
    const char* name = pair.first;
    const AddConv2D add = pair.second;
    const auto row = [&](const std::string& text,
                         const std::function<void(tapegrad_conv2d_options&)>& change) {
      calls.push_back({name, text, [add, change](tapegrad_net* n) { return conv2d(add, n, change); }});
    };
    calls.push_back({name, "options must not be NULL", [add](tapegrad_net* n) { return add(n, nullptr); }});
    row("in_channels", [](auto& o) { o.in_channels = 0; });
    row("filters", [](auto& o) { o.filters = 0; });
    row("kernel", [](auto& o) { o.kernel_size[1] = 0; });
    row("stride", [](auto& o) { o.strides[0] = 0; });
    row("dilation", [](auto& o) { o.dilations[1] = -2; });
    row("groups", [](auto& o) { o.groups = 3; });
    row("padding must be TAPEGRAD_VALID (0) or TAPEGRAD_SAME (1), got 2", [](auto& o) { o.padding = 2; });
    row(bad_activation + "99", [](auto& o) { o.activation = 99; });
    row("use_bias must be 0 or 1, got -1", [](auto& o) { o.use_bias = -1; });
  }
  return calls;
}

std::vector<WrongCall> wrong_layers() {
  const auto pool = [](tapegrad_net* n, const std::function<void(tapegrad_max_pool2d_options&)>& change) {
    const auto options = with(tapegrad_max_pool2d_default(), change);
    return tapegrad_add_max_pool2d(n, &options);
  };
  const auto norm = [](tapegrad_net* n, std::int64_t channels, double momentum, double epsilon) {
    const tapegrad_batch_norm_options options = {channels, momentum, epsilon};
    return tapegrad_add_batch_norm(n, &options);
  };
  const auto reshape = [](tapegrad_net* n, const tapegrad_shape& sample) {
    return tapegrad_add_reshape(n, &sample);
  };
  return {
      {"tapegrad_add_max_pool2d", "options must not be NULL",
       [](auto* n) { return tapegrad_add_max_pool2d(n, nullptr); }},
      {"tapegrad_add_max_pool2d", "pool_size",
       [=](auto* n) { return pool(n, [](auto& o) { o.pool_size[0] = 0; }); }},
      {"tapegrad_add_max_pool2d", "strides",
       [=](auto* n) { return pool(n, [](auto& o) { o.strides[1] = -1; }); }},
      {"tapegrad_add_max_pool2d", "strides",
       [=](auto* n) { return pool(n, [](auto& o) { o.strides[0] = 2; }); }},
      {"tapegrad_add_max_pool2d", "padding must be",
       [=](auto* n) { return pool(n, [](auto& o) { o.padding = -1; }); }},
      {"tapegrad_add_batch_norm", "options must not be NULL",
       [](auto* n) { return tapegrad_add_batch_norm(n, nullptr); }},
      {"tapegrad_add_batch_norm", "channels", [=](auto* n) { return norm(n, 0, 0.9, 1e-3); }},
      {"tapegrad_add_batch_norm", "momentum", [=](auto* n) { return norm(n, 2, 1.5, 1e-3); }},
      {"tapegrad_add_batch_norm", "epsilon", [=](auto* n) { return norm(n, 2, 0.9, -1); }},
      {"tapegrad_add_activation", "must not be TAPEGRAD_NO_ACTIVATION",
       [](auto* n) { return tapegrad_add_activation(n, 0); }},
      {"tapegrad_add_activation", "got 11", [](auto* n) { return tapegrad_add_activation(n, 11); }},
      {"tapegrad_add_dropout", "rate", [](auto* n) { return tapegrad_add_dropout(n, 1); }},
      {"tapegrad_add_dropout", "rate", [](auto* n) { return tapegrad_add_dropout(n, -0.5); }},
      {"tapegrad_add_dropout", "rate", [](auto* n) { return tapegrad_add_dropout(n, kNaN); }},
      {"tapegrad_add_reshape", "sample must not be NULL",
       [](auto* n) { return tapegrad_add_reshape(n, nullptr); }},
      {"tapegrad_add_reshape", "sample.rank must be 0 to 7, got 8",
       [=](auto* n) {
         return reshape(n, {8, {}});
       }},
      {"tapegrad_add_reshape", "sample.rank must be 0 to 7, got -1",
       [=](auto* n) {
         return reshape(n, {-1, {}});
       }},
      {"tapegrad_add_reshape", "-2",
       [=](auto* n) {
         return reshape(n, {2, {3, -2}});
       }},
      {"tapegrad_add_reshape", "-1",
       [=](auto* n) {
         return reshape(n, {2, {-1, -1}});
       }},
  };
}

std::vector<WrongCall> wrong_optimizers() {
  const auto adam = [](tapegrad_net* n, const std::function<void(tapegrad_adam_options&)>& change) {
    const auto options = with(tapegrad_adam_default(), change);
    return tapegrad_use_adam(n, &options);
  };
  const auto sgd = [](tapegrad_net* n, const std::function<void(tapegrad_sgd_options&)>& change) {
    const auto options = with(tapegrad_sgd_default(), change);
    return tapegrad_use_sgd(n, &options);
  };
  return {
      {"tapegrad_use_adam", "options must not be NULL",
       [](auto* n) { return tapegrad_use_adam(n, nullptr); }},
      {"tapegrad_use_adam", "learning",
       [=](auto* n) { return adam(n, [](auto& o) { o.learning_rate = -1; }); }},
      {"tapegrad_use_adam", "beta1", [=](auto* n) { return adam(n, [](auto& o) { o.beta1 = 1; }); }},
      {"tapegrad_use_adam", "beta2", [=](auto* n) { return adam(n, [](auto& o) { o.beta2 = kNaN; }); }},
      {"tapegrad_use_adam", "epsilon", [=](auto* n) { return adam(n, [](auto& o) { o.epsilon = 0; }); }},
      {"tapegrad_use_adam", "weight_decay",
       [=](auto* n) { return adam(n, [](auto& o) { o.weight_decay = -1; }); }},
      {"tapegrad_use_sgd", "options must not be NULL", [](auto* n) { return tapegrad_use_sgd(n, nullptr); }},
      {"tapegrad_use_sgd", "learning",
       [=](auto* n) { return sgd(n, [](auto& o) { o.learning_rate = kNaN; }); }},
      {"tapegrad_use_sgd", "momentum", [=](auto* n) { return sgd(n, [](auto& o) { o.momentum = 1; }); }},
      {"tapegrad_use_sgd", "weight_decay",
       [=](auto* n) { return sgd(n, [](auto& o) { o.weight_decay = -1; }); }},
      {"tapegrad_use_sgd", "nesterov must be 0 or 1, got 3",
       [=](auto* n) { return sgd(n, [](auto& o) { o.nesterov = 3; }); }},
      {"tapegrad_use_sgd", "nesterov", [=](auto* n) { return sgd(n, [](auto& o) { o.nesterov = 1; }); }},
      {"tapegrad_set_learning_rate", "learning",
       [](auto* n) {
         if (n != nullptr) use_adam(n);
         return tapegrad_set_learning_rate(n, -1);
       }},
      {"tapegrad_set_learning_rate", "an optimizer must be chosen before",
       [](auto* n) { return tapegrad_set_learning_rate(n, 1); }},
      {"tapegrad_set_threads", "-1", [](auto* n) { return tapegrad_set_threads(n, -1); }},
      {"tapegrad_set_threads", "1025", [](auto* n) { return tapegrad_set_threads(n, 1025); }},
  };
}

std::vector<WrongCall> wrong_files() {
  std::vector<WrongCall> calls = {
      {"tapegrad_save_weights", "path must not be NULL",
       [](auto* n) { return tapegrad_save_weights(n, nullptr); }},
      {"tapegrad_save_weights", "no/such/folder",
       [](auto* n) { return tapegrad_save_weights(n, "/no/such/folder/file"); }},
      {"tapegrad_save_weights", "", [](auto* n) { return tapegrad_save_weights(n, ""); }},
  };
  const std::pair<const char*, int (*)(tapegrad_net*, const char*)> both[] = {
      {"tapegrad_load_weights", tapegrad_load_weights},
      {"tapegrad_load_pytorch_weights", tapegrad_load_pytorch_weights}};
  for (const auto& pair : both) {
    const auto load = pair.second;
    calls.push_back({pair.first, "path must not be NULL", [load](auto* n) { return load(n, nullptr); }});
    calls.push_back({pair.first, "no/such/file", [load](auto* n) { return load(n, "/no/such/file"); }});
    calls.push_back({pair.first, "tapegrad_c.h",
                     [load](auto* n) { return load(n, TAPEGRAD_SOURCE "/lib/tapegrad_c/tapegrad_c.h"); }});
    calls.push_back({pair.first, "0.", [load](auto* n) {  // of a net with other layers
                       const TemporaryFolder folder;
                       write_safetensors(folder / "other", {.tensors = {{"0.other", ones({2, 3})}}});
                       return load(n, (folder / "other").string().c_str());
                     }});
  }
  return calls;
}

// Of a net with one Dense layer of two features and three units.
std::vector<WrongCall> wrong_tensors() {
  static const tapegrad_shape transposed = {2, {3, 2}}, right = {2, {2, 3}};
  static const float values[6] = {};
  static const char* const kUnknown = "there is no tensor 'kernel', only: 0.kernel, 0.bias";
  return {
      {"tapegrad_parameter_count", "count must not be NULL",
       [](auto* n) { return tapegrad_parameter_count(n, nullptr); }},
      {"tapegrad_get_tensor", "name must not be NULL",
       [](auto* n) { return tapegrad_get_tensor(n, nullptr, nullptr, 0, nullptr); }},
      {"tapegrad_get_tensor", kUnknown,
       [](auto* n) { return tapegrad_get_tensor(n, "kernel", nullptr, 0, nullptr); }},
      {"tapegrad_get_tensor", "output must not be NULL",
       [](auto* n) { return tapegrad_get_tensor(n, "0.kernel", nullptr, 6, nullptr); }},
      {"tapegrad_set_tensor", "name must not be NULL",
       [](auto* n) { return tapegrad_set_tensor(n, nullptr, values, &right); }},
      {"tapegrad_set_tensor", kUnknown,
       [](auto* n) { return tapegrad_set_tensor(n, "kernel", values, &right); }},
      {"tapegrad_set_tensor", "values must not be NULL",
       [](auto* n) { return tapegrad_set_tensor(n, "0.kernel", nullptr, &right); }},
      {"tapegrad_set_tensor", "values_shape must not be NULL",
       [](auto* n) { return tapegrad_set_tensor(n, "0.kernel", values, nullptr); }},
      {"tapegrad_set_tensor", "values_shape must be [2, 3], the shape of '0.kernel', got [3, 2]",
       [](auto* n) { return tapegrad_set_tensor(n, "0.kernel", values, &transposed); }},
  };
}

// Of weights and optimizer.
std::vector<WrongCall> wrong_training() {
  std::vector<WrongCall> calls;
  const std::pair<const char*, int (*)(tapegrad_net*, const char*)> both[] = {
      {"tapegrad_save_training", tapegrad_save_training}, {"tapegrad_load_training", tapegrad_load_training}};
  for (const auto& pair : both) {
    const auto row = [&](const char* text, const char* path, bool chosen = true) {
      calls.push_back({pair.first, text, [=, call = pair.second](auto* n) {
                         if (chosen && n != nullptr) use_adam(n);
                         return call(n, path);
                       }});
    };
    row("an optimizer must be chosen before", "/no/such/folder/file", false);
    row("path must not be NULL", nullptr);
    row("no/such/folder", "/no/such/folder/file");
  }
  calls.push_back({"tapegrad_load_training", "tapegrad_c.h", [](auto* n) {
                     if (n != nullptr) use_adam(n);
                     return tapegrad_load_training(n, TAPEGRAD_SOURCE "/lib/tapegrad_c/tapegrad_c.h");
                   }});
  calls.push_back({"tapegrad_load_training", "SGD", [](auto* n) {  // of another kind of optimizer
                     if (n != nullptr) use_adam(n);
                     const TemporaryFolder folder;
                     const std::string path = (folder / "sgd").string();
                     const Net other(1);
                     add_dense(other.get(), 2, 3);
                     const tapegrad_sgd_options sgd = tapegrad_sgd_default();
                     EXPECT_OK(other.get(), tapegrad_use_sgd(other.get(), &sgd));
                     EXPECT_OK(other.get(), tapegrad_save_training(other.get(), path.c_str()));
                     return tapegrad_load_training(n, path.c_str());
                   }});
  return calls;
}

// The arguments of a batch, right as they stand.
struct Batch {
  const float* input = kInput;
  const tapegrad_shape* input_shape = &kIn;
  const void* target = nullptr;
  const tapegrad_shape* target_shape = nullptr;
};

int train(tapegrad_net* net, bool labels, const std::function<void(Batch&)>& change) {
  Batch batch;
  batch.target = labels ? static_cast<const void*>(kClasses) : kTarget;
  batch.target_shape = labels ? &kLabels : &kOut;
  change(batch);
  if (labels)
    return tapegrad_train_cross_entropy(net, batch.input, batch.input_shape,
                                        static_cast<const std::int32_t*>(batch.target), batch.target_shape,
                                        nullptr);
  return tapegrad_train_mse(net, batch.input, batch.input_shape, static_cast<const float*>(batch.target),
                            batch.target_shape, nullptr);
}

const void* not_aligned(const void* memory) {
  return static_cast<const char*>(memory) + 1;
}

std::vector<WrongCall> wrong_batches() {
  static const tapegrad_shape rank_9 = {9, {}}, negative = {2, {4, -2}}, narrow = {2, {8, 1}},
                              one_axis = {1, {8}},
                              huge = {3, {std::int64_t{1} << 40, std::int64_t{1} << 40, 2}};
  static const std::int32_t too_large[4] = {0, 1, 3, 0};
  std::vector<WrongCall> calls;
  const auto run_row = [&](const std::string& text, const float* input, const tapegrad_shape* shape,
                           std::size_t capacity) {
    calls.push_back({"tapegrad_run", text, [=](auto* n) {
                       float output[12];
                       return tapegrad_run(n, input, shape, capacity == 99 ? nullptr : output, capacity,
                                           nullptr);
                     }});
  };
  run_row("input must not be NULL", nullptr, &kIn, 12);
  run_row("input_shape must not be NULL", kInput, nullptr, 12);
  run_row("output must not be NULL", kInput, &kIn, 99);
  run_row("input must lie at a multiple of 4 bytes", static_cast<const float*>(not_aligned(kInput)), &kIn,
          12);
  run_row("input_shape.rank must be 0 to 8, got 9", kInput, &rank_9, 12);
  run_row("-2", kInput, &negative, 12);
  run_row("[8, 1]", kInput, &narrow, 12);
  run_row("[8]", kInput, &one_axis, 12);
  run_row("1099511627776", kInput, &huge, 12);
  for (const bool labels : {false, true}) {
    const std::string target = labels ? "labels" : "target";
    const auto row = [&](const std::string& text, const std::function<void(Batch&)>& change,
                         bool chosen = true) {
      calls.push_back({labels ? "tapegrad_train_cross_entropy" : "tapegrad_train_mse", text, [=](auto* n) {
                         if (chosen && n != nullptr) use_adam(n);
                         return train(n, labels, change);
                       }});
    };
    row(
        "an optimizer must be chosen before", [](Batch&) {}, false);
    row("input must not be NULL", [](Batch& b) { b.input = nullptr; });
    row("input_shape must not be NULL", [](Batch& b) { b.input_shape = nullptr; });
    row("[8, 1]", [](Batch& b) { b.input_shape = &narrow; });
    row("input must lie at", [](Batch& b) { b.input = static_cast<const float*>(not_aligned(b.input)); });
    row(target + " must not be NULL", [](Batch& b) { b.target = nullptr; });
    row(target + "_shape must not be NULL", [](Batch& b) { b.target_shape = nullptr; });
    row(target + " must lie at a multiple of 4 bytes", [](Batch& b) { b.target = not_aligned(b.target); });
    row(target + "_shape.rank must be 0 to 8, got 9", [](Batch& b) { b.target_shape = &rank_9; });
    row("[4, 3]", [](Batch& b) { b.target_shape = &kIn; });
  }
  calls.push_back({"tapegrad_train_cross_entropy", "3", [](auto* n) {
                     if (n != nullptr) use_adam(n);
                     return train(n, true, [](Batch& b) { b.target = too_large; });
                   }});
  return calls;
}

// No layer is added to a net that has an optimizer.
std::vector<WrongCall> late_layers() {
  static const tapegrad_shape sample = {1, {3}};
  static const auto pool = tapegrad_max_pool2d_default();
  static const tapegrad_batch_norm_options norm = {3, 0.9, 1e-3};
  std::vector<WrongCall> calls = {
      {"tapegrad_add_dense", "", [](auto* n) { return dense(n, [](auto&) {}); }},
      {"tapegrad_add_conv2d", "", [](auto* n) { return conv2d(tapegrad_add_conv2d, n, [](auto&) {}); }},
      {"tapegrad_add_conv2d_transpose", "",
       [](auto* n) { return conv2d(tapegrad_add_conv2d_transpose, n, [](auto&) {}); }},
      {"tapegrad_add_max_pool2d", "", [](auto* n) { return tapegrad_add_max_pool2d(n, &pool); }},
      {"tapegrad_add_batch_norm", "", [](auto* n) { return tapegrad_add_batch_norm(n, &norm); }},
      {"tapegrad_add_activation", "", [](auto* n) { return tapegrad_add_activation(n, TAPEGRAD_RELU); }},
      {"tapegrad_add_dropout", "", [](auto* n) { return tapegrad_add_dropout(n, 0.5); }},
      {"tapegrad_add_flatten", "", [](auto* n) { return tapegrad_add_flatten(n); }},
      {"tapegrad_add_reshape", "", [](auto* n) { return tapegrad_add_reshape(n, &sample); }},
  };
  for (WrongCall& row : calls) {
    row.text = "all layers must be added before the optimizer is chosen";
    row.call = [call = row.call](tapegrad_net* n) {
      if (n != nullptr) use_adam(n);
      return call(n);
    };
  }
  return calls;
}

std::vector<WrongCall> all_wrong_calls() {
  std::vector<WrongCall> all;
  for (auto make : {wrong_dense_and_convolutions, wrong_layers, wrong_optimizers, wrong_files, wrong_tensors,
                    wrong_training, wrong_batches, late_layers}) {
    const std::vector<WrongCall> part = make();
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

// Two layers follow, which would have other weights if the refused call had drawn some or had added a layer.
Tensor goes_on(tapegrad_net* net, bool has_optimizer) {
  Generator generator(1);
  const Tensor x = uniform({4, 2}, -1, 1, generator), y = uniform({4, 3}, -1, 1, generator);
  if (!has_optimizer) {
    add_dense(net, 3, 3);
    use_adam(net);
  }
  train_mse(net, x, y);
  return run(net, x);
}

TEST(CRefusals, OfEveryWrongArgument) {
  for (const WrongCall& row : all_wrong_calls()) {
    SCOPED_TRACE(std::string(row.function) + ": " + row.text);
    const Net net(5), expected(5);
    for (tapegrad_net* one : {net.get(), expected.get()}) add_dense(one, 2, 3);
    EXPECT_STREQ(tapegrad_last_error(net.get()), "");
    EXPECT_EQ(row.call(net.get()), TAPEGRAD_FAILED);
    const std::string error = tapegrad_last_error(net.get());
    EXPECT_TRUE(error.starts_with(std::string(row.function) + ": ")) << error;
    EXPECT_NE(error.find(row.text), std::string::npos) << error;
    const bool has_optimizer = tapegrad_set_learning_rate(net.get(), 1e-3) == TAPEGRAD_OK;
    if (has_optimizer) use_adam(expected.get());
    EXPECT_TRUE(equal(goes_on(net.get(), has_optimizer), goes_on(expected.get(), has_optimizer)));
  }
}

std::set<std::string> functions_of_a_net() {
  std::ifstream file(TAPEGRAD_SOURCE "/lib/tapegrad_c/tapegrad_c.h");
  const std::string header(std::istreambuf_iterator<char>(file), {});
  const std::regex declaration(R"(TAPEGRAD_C_API\s+int\s+(\w+)\(tapegrad_net\* net)");
  std::set<std::string> names;
  for (std::sregex_iterator at(header.begin(), header.end(), declaration), end; at != end; ++at)
    names.insert((*at)[1]);
  return names;
}

TEST(CRefusals, NoFunctionIsForgotten) {
  std::set<std::string> called;
  for (const WrongCall& row : all_wrong_calls()) called.insert(row.function);
  EXPECT_EQ(called, functions_of_a_net());
}

TEST(CRefusals, NoNet) {
  for (const WrongCall& row : all_wrong_calls())
    EXPECT_EQ(row.call(nullptr), TAPEGRAD_FAILED) << row.function;
  EXPECT_NE(std::string(tapegrad_last_error(nullptr)).find("the net must not be NULL"), std::string::npos);
  tapegrad_net_free(nullptr);
}

TEST(CRefusals, ATextLastsUntilTheNext) {
  const Net net(1);
  add_dense(net.get(), 2, 3);
  EXPECT_EQ(tapegrad_add_dropout(net.get(), 2), TAPEGRAD_FAILED);
  const std::string first = tapegrad_last_error(net.get());
  EXPECT_OK(net.get(), tapegrad_add_dropout(net.get(), 0.5));
  EXPECT_EQ(tapegrad_last_error(net.get()), first);
  EXPECT_EQ(tapegrad_add_activation(net.get(), 77), TAPEGRAD_FAILED);
  EXPECT_NE(tapegrad_last_error(net.get()), first);
}

TEST(CRefusals, ABufferThatIsTooSmall) {
  const Net net(1);
  add_dense(net.get(), 2, 3);
  float output[12];
  for (const std::size_t capacity : {0U, 1U, 11U}) {
    std::fill(std::begin(output), std::end(output), -7.0F);
    tapegrad_shape shape = {8, {9, 9, 9, 9, 9, 9, 9, 9}};
    EXPECT_EQ(tapegrad_run(net.get(), kInput, &kIn, output, capacity, &shape), TAPEGRAD_TOO_SMALL);
    EXPECT_STREQ(tapegrad_last_error(net.get()),
                 ("tapegrad_run: output must hold the 12 elements of shape [4, 3], got a capacity of " +
                  std::to_string(capacity))
                     .c_str());
    EXPECT_EQ(shape.rank, 2);
    EXPECT_EQ(shape.sizes[0], 4);
    EXPECT_EQ(shape.sizes[1], 3);
    for (int axis = 2; axis < TAPEGRAD_MAX_RANK; ++axis) EXPECT_EQ(shape.sizes[axis], 0);
    for (const float value : output) EXPECT_EQ(value, -7);
  }
  EXPECT_OK(net.get(), tapegrad_run(net.get(), kInput, &kIn, output, 12, nullptr));
}

// Flatten gives back the input's own elements.
TEST(CApi, TheOutputMayOverlapTheInput) {
  const Net flat(1), net(1);
  ASSERT_OK(flat.get(), tapegrad_add_flatten(flat.get()));
  add_dense(net.get(), 2, 2);
  const tapegrad_shape cube = {3, {2, 2, 2}};
  for (const bool is_flat : {true, false}) {
    tapegrad_net* called = is_flat ? flat.get() : net.get();
    const tapegrad_shape& shape = is_flat ? cube : kIn;
    float expected[8];
    ASSERT_OK(called, tapegrad_run(called, kInput, &shape, expected, 8, nullptr));
    for (const std::size_t at : {0U, 1U, 7U}) {
      std::vector<float> values(kInput, kInput + 8);
      values.resize(16);
      EXPECT_OK(called, tapegrad_run(called, values.data(), &shape, values.data() + at, 8, nullptr));
      EXPECT_TRUE(std::equal(expected, expected + 8, values.data() + at)) << at;
    }
  }
}

}  // namespace
}  // namespace tapegrad::testing
