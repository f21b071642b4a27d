#include <algorithm>
#include <array>
#include <optional>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/exchange/layout_internal.h"
#include "tapegrad/exchange/weights.h"
#include "tapegrad/nn/oihw_internal.h"

namespace tapegrad::inline v0 {
namespace {

using detail::ModuleTensor;
using Weight = std::pair<std::string, Tensor>;

std::string last_name(const std::string& path) {
  return path.substr(path.rfind('.') + 1);  // npos + 1 is 0
}

// What a tensor is for, if its name tells: a bias must not become a kernel of the same shape.
std::string role_of(const std::string& path) {
  constexpr std::array<std::string_view, 4> kRoles{"weight", "bias", "running_mean", "running_var"};
  const std::string role(detail::pytorch_name(last_name(path)));
  return std::ranges::find(kRoles, role) == kRoles.end() ? "" : role;
}

bool has_same_role(const std::string& path, const std::string& name) {
  const std::string own = role_of(path), given = role_of(name);
  return own.empty() || given.empty() || own == given;
}

std::string described(const std::string& name, const Shape& shape) {
  return fmt::format("'{}' {}", name, shape);
}

/// Pairs tensors of a module with weights.
class Matching {
 public:
  Matching(std::string_view op, Module& module, const State& weights, const MatchOptions& options)
      : op_(op), options_(options), is_pytorch_(options.layout == Layout::OIHW) {
    weights.require_names_once(op);
    if (!is_pytorch_ && !(options.flattened.empty() && options.unflattened.empty()))
      fail(op, "flattened and unflattened are for weights of PyTorch, {{.layout = Layout::OIHW}}");
    own_ = is_pytorch_ ? detail::tensors_of(op, module, {options.flattened, options.unflattened})
                       : detail::tensors_of(module);
    for (const Weight& weight : weights.tensors) {
      if (is_pytorch_ && last_name(weight.first) == "num_batches_tracked")
        match_.ignored.push_back(weight.first);
      else
        left_.push_back(&weight);
    }
    refuse_pytorch_as_ours();
    weights_of_.resize(own_.size());
  }

  WeightMatch find() {
    by_name();
    if (options_.by_order) by_order();
    for (std::size_t i = 0; i < own_.size(); ++i) add(own_[i], weights_of_[i]);
    for (const Weight* weight : left_)
      superfluous_.push_back(
          fmt::format("the module has no tensor for {}", described(weight->first, weight->second.shape())));
    if (!problems_.empty() || !superfluous_.empty()) refuse();
    return std::move(match_);
  }

 private:
  struct Found {
    const Weight* weight = nullptr;
    bool by_order = false;
  };

  // Square matrices of PyTorch would fit without being transposed.
  void refuse_pytorch_as_ours() const {
    if (is_pytorch_) return;
    const auto is_pytorch_name = [](const std::string& path) {
      const std::string name = last_name(path);
      return name == "weight" || name == "running_mean" || name == "running_var";
    };
    if (std::ranges::any_of(own_, [&](const ModuleTensor& own) { return is_pytorch_name(own.path); })) return;
    for (const Weight* weight : left_)
      if (is_pytorch_name(weight->first))
        fail(op_,
             "'{}' is a name of PyTorch's: tell that these weights are PyTorch's, {{.layout = Layout::OIHW}}",
             weight->first);
  }

  void by_name() {
    for (std::size_t i = 0; i < own_.size(); ++i) {
      auto at = std::ranges::find(left_, own_[i].path, [](const Weight* weight) { return weight->first; });
      if (at == left_.end() && is_pytorch_)
        at = std::ranges::find(left_, own_[i].pytorch_path,
                               [](const Weight* weight) { return weight->first; });
      if (at == left_.end()) continue;
      weights_of_[i].weight = *at;
      left_.erase(at);
    }
  }

  void by_order() {
    auto next = left_.begin();
    for (std::size_t i = 0; i < own_.size() && next != left_.end(); ++i)
      if (weights_of_[i].weight == nullptr && !own_[i].is_generator()) weights_of_[i] = {*next++, true};
    left_.erase(left_.begin(), next);
  }

  void add(const ModuleTensor& own, const Found& found) {
    const Shape& shape = own.tensor.shape();
    if (found.weight == nullptr) {
      if (own.is_generator())
        match_.state.tensors.emplace_back(own.path, own.tensor);
      else
        problems_.push_back(fmt::format("there is no weight for {}", described(own.path, shape)));
      return;
    }
    const auto& [name, given] = *found.weight;
    std::string done;
    const Tensor turned = is_pytorch_ ? detail::from_pytorch(own, given, done) : given;
    const std::string_view how = found.by_order ? "by order" : "by name";
    if (turned.shape() != shape) {
      const std::string as = turned.shape() == given.shape() ? "" : fmt::format(", here {},", turned.shape());
      problems_.push_back(fmt::format("{}{} does not fit {} ({})", described(name, given.shape()), as,
                                      described(own.path, shape), how));
    } else if (found.by_order && !has_same_role(own.path, name)) {
      problems_.push_back(fmt::format("{} would become {} ({})", described(name, given.shape()),
                                      described(own.path, shape), how));
    }
    match_.rows.push_back({own.path, name, shape, given.shape(), std::string(how) + done});
    match_.state.tensors.emplace_back(own.path, turned);
  }

  [[noreturn]] void refuse() const {
    std::string text;
    for (const std::vector<std::string>* problems : {&problems_, &superfluous_}) {
      constexpr std::size_t kShown = 8;
      const std::size_t shown = std::min(problems->size(), kShown);
      for (const std::string& problem : std::span(*problems).first(shown)) text += "\n  " + problem;
      if (shown < problems->size()) text += fmt::format("\n  and {} more", problems->size() - shown);
    }
    fail(
        op_, "the weights must fit the module; nothing was loaded:{}{}", text,
        options_.by_order
            ? "\nWeights without a namesake are matched in order: build the module with the layers in the order of the file"
            : "\nGive the module's members the names of the file, or match in order, {.by_order = true}");
  }

  std::string_view op_;
  const MatchOptions& options_;
  bool is_pytorch_;
  std::vector<ModuleTensor> own_;
  std::vector<const Weight*> left_;  // weights that are not matched
  std::vector<Found> weights_of_;    // for each of own_
  std::vector<std::string> problems_, superfluous_;
  WeightMatch match_;
};

WeightMatch matched(std::string_view op, Module& module, const State& weights, const MatchOptions& options) {
  const NoGrad no_grad;
  WeightMatch match = Matching(op, module, weights, options).find();
  match.state = match.state.copy();
  return match;
}

}  // namespace

std::string WeightMatch::table() const {
  std::vector<std::array<std::string, 5>> lines = {{"tensor", "shape", "weight", "shape", "matched"}};
  for (const Row& row : rows)
    lines.push_back(
        {row.path, fmt::format("{}", row.shape), row.name, fmt::format("{}", row.from_shape), row.how});
  std::array<std::size_t, 5> widths{};
  for (const auto& line : lines)
    for (std::size_t i = 0; i + 1 < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  std::string text;
  for (const auto& line : lines) {
    for (std::size_t i = 0; i + 1 < line.size(); ++i) text += fmt::format("{:<{}}  ", line[i], widths[i]);
    text += line.back() + "\n";
  }
  for (const std::string& name : ignored) text += fmt::format("ignored: {}\n", name);
  return text;
}

WeightMatch match_weights(Module& module, const State& weights, const MatchOptions& options) {
  return matched("match_weights", module, weights, options);
}

WeightMatch load_weights(Module& module, const State& weights, const MatchOptions& options) {
  WeightMatch match = matched("load_weights", module, weights, options);
  module.load_state(match.state);
  return match;
}

}  // namespace tapegrad::inline v0
