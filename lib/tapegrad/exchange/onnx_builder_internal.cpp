// From the plain description of an ONNX model to a program that runs it.

#include <algorithm>
#include <map>
#include <set>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/random.h"
#include "tapegrad/exchange/onnx_program_internal.h"

namespace tapegrad::inline v0::onnx {
namespace {

// Numbers that are computed with on loading, by one node and in all results: a small file must not ask for much memory.
constexpr index_t kFoldedInput = 128, kFoldedTotal = index_t{1} << 20;

bool is_own_domain(const std::string& domain) {
  return domain.empty() || domain == "ai.onnx";
}

std::int64_t opset_of(const Source& source, const ModelProto& model) {
  std::int64_t opset = 0;
  for (const auto& [domain, version] : model.opsets)
    if (is_own_domain(domain)) opset = std::max(opset, version);
  if (opset == 0) source.fail("does not say which opset of ONNX it is written in");
  if (opset < kOldestOpset || opset > kNewestOpset)
    source.fail("is written in opset {}; {} to {} can be read", opset, kOldestOpset, kNewestOpset);
  return opset;
}

class Builder {
 public:
  Builder(const Source& source, const ModelProto& model, const OnnxOptions& options)
      : source_(source),
        graph_(model.graph),
        options_(options),
        opset_(opset_of(source, model)),
        has_unbiased_variance_(options.moving_variance.value_or(model.producer == "pytorch"
                                                                    ? MovingVariance::Unbiased
                                                                    : MovingVariance::Biased) ==
                               MovingVariance::Unbiased),
        ops_(all_ops()),
        generator_(options.seed),
        program_(std::make_unique<detail::OnnxProgram>()) {}

  std::unique_ptr<detail::OnnxProgram> build() {
    program_->images = options_.images;
    collect_initializers();
    add_inputs();
    require_order();
    find_live();
    find_roles();
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i)
      if (live_[i] && !taken_over_.contains(&graph_.nodes[i])) add_node(graph_.nodes[i]);
    add_outputs();
    find_last_uses();
    return std::move(program_);
  }

 private:
  struct Initializer {
    const TensorProto* proto = nullptr;
    std::string roles;                  // of all inputs that it is
    const NodeProto* reader = nullptr;  // the first
  };

  std::string str(const NodeProto& node) const { return Node(source_, node, opset_).str(); }

  // The name that a value has through nodes that only give it another.
  const std::string& resolved(const std::string& name) const {
    const auto found = aliases_.find(name);
    return found == aliases_.end() ? name : found->second;
  }

  void collect_initializers() {
    if (graph_.has_sparse_initializers) source_.fail("has sparse initializers, which cannot be read");
    for (const TensorProto& proto : graph_.initializers) {
      if (proto.name.empty()) source_.fail("has an initializer without a name");
      if (!initializers_.emplace(proto.name, Initializer{&proto, "", nullptr}).second)
        source_.fail("has two initializers called '{}'", proto.name);
      defined_.insert(proto.name);
    }
  }

  static OnnxValueInfo info_of(const ValueInfoProto& proto) {
    OnnxValueInfo info{proto.name, name(proto.type), {}, proto.has_shape};
    for (const auto& [size, symbol] : proto.shape) info.shape.push_back(size < 0 ? -1 : size);
    return info;
  }

  void add_inputs() {
    std::set<std::string> names;
    for (const ValueInfoProto& proto : graph_.inputs) {
      if (!names.insert(proto.name).second) source_.fail("has two inputs called '{}'", proto.name);
      if (initializers_.contains(proto.name)) continue;  // files of before IR version 4 list them as well
      if (!proto.is_tensor) source_.fail("has an input '{}' that is not a tensor", proto.name);
      if (!is_floating(proto.type) && !is_whole(proto.type) && proto.type != ElementType::Bool)
        source_.fail("has an input '{}' of type {}, which cannot be computed with", proto.name,
                     name(proto.type));
      defined_.insert(proto.name);
      program_->inputs.push_back(info_of(proto));
      program_->input_types.push_back(proto.type);
      program_->input_slots.push_back(slot(proto.name));
    }
  }

  // Every input is defined before, and nothing twice: so there is no cycle.
  void require_order() {
    for (const NodeProto& node : graph_.nodes) {
      for (const std::string& input : node.inputs)
        if (!input.empty() && !defined_.contains(input))
          source_.fail(
              "has a {} that takes '{}', which no node before it returns: it is missing, or stands in a cycle",
              str(node), input);
      for (const std::string& output : node.outputs)
        if (!output.empty() && !defined_.insert(output).second)
          source_.fail("has two values called '{}'; a {} returns the second", output, str(node));
      const auto& inputs = node.inputs;
      if (node.op_type == "Identity" && is_own_domain(node.domain) && inputs.size() == 1 &&
          node.outputs.size() == 1 && initializers_.contains(resolved(inputs[0])))
        aliases_[node.outputs[0]] = resolved(inputs[0]);
    }
    for (const ValueInfoProto& output : graph_.outputs)
      if (!defined_.contains(output.name)) source_.fail("returns '{}', which no node computes", output.name);
    if (graph_.outputs.empty()) source_.fail("returns nothing");
  }

  // Nodes that a result depends on.
  void find_live() {
    for (const ValueInfoProto& output : graph_.outputs) wanted_.insert(output.name);
    live_.assign(graph_.nodes.size(), false);
    for (std::size_t i = graph_.nodes.size(); i-- > 0;) {
      const NodeProto& node = graph_.nodes[i];
      live_[i] =
          std::ranges::any_of(node.outputs, [&](const auto& output) { return wanted_.contains(output); });
      if (!live_[i]) continue;
      wanted_.insert(node.inputs.begin(), node.inputs.end());
      for (const std::string& input : node.inputs) readers_[input].push_back(&node);
      if (node.outputs.size() == 1 && aliases_.contains(node.outputs[0])) live_[i] = false;
    }
  }

  const Op& op_of(const NodeProto& node) const {
    const Node context(source_, node, opset_);
    if (!is_own_domain(node.domain))
      context.fail("belongs to the domain '{}', of which no op is known", node.domain);
    const auto found = ops_.find(node.op_type);
    if (found != ops_.end()) return found->second;
    if (node.op_type == "If" || node.op_type == "Loop" || node.op_type == "Scan")
      context.fail("has graphs inside, which are not run: export the model without control flow");
    context.fail("is not known: onnx_ops() lists the ops that are");
  }

  static char role(const Op& op, std::size_t input) {
    if (op.roles.ends_with('*'))
      return input + 1 < op.roles.size() ? op.roles[input] : op.roles[op.roles.size() - 2];
    return input < op.roles.size() ? op.roles[input] : '\0';
  }

  void find_roles() {
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (!live_[i]) continue;
      const NodeProto& node = graph_.nodes[i];
      const Op& op = op_of(node);
      const auto given = [&](std::size_t at) { return at < node.inputs.size() && !node.inputs[at].empty(); };
      for (std::size_t at = 0; at < op.required; ++at)
        if (!given(at)) source_.fail("has a {} that lacks its input {}", str(node), at);
      if (node.outputs.empty()) source_.fail("has a {} without results", str(node));
      for (std::size_t at = 0; at < node.inputs.size(); ++at) {
        if (given(at) && role(op, at) == '\0')
          source_.fail("has a {} with {} inputs; {} are known", str(node), node.inputs.size(),
                       op.roles.size());
        const auto found = initializers_.find(resolved(node.inputs[at]));
        if (found == initializers_.end()) continue;
        found->second.roles += role(op, at);
        if (found->second.reader == nullptr) found->second.reader = &node;
      }
    }
  }

  bool becomes_parameter(const Initializer& given, const Shape& shape) const {
    const auto has = [&](std::string_view roles) {
      return given.roles.find_first_of(roles) != std::string::npos;
    };
    if (!is_floating(given.proto->type) || has("s") || !has("xwfg")) return false;
    if (options_.is_parameter) return options_.is_parameter(given.proto->name, shape);
    return has("wfg") || shape.rank() > 0;
  }

  // How an initializer is stored: as its first reader wants it.
  Order stored_order(const Initializer& given, int rank) const {
    if (given.roles.starts_with('f') && (rank == 3 || rank == 4))
      return rank == 4 ? Order{2, 3, 1, 0} : Order{2, 1, 0};
    if (given.roles.starts_with('g') && rank == 2 &&
        Node(source_, *given.reader, opset_).integer("transB", 0) != 0)
      return {1, 0};
    return {};
  }

  void read_initializer(const std::string& name, const Initializer& given) {
    Value value = constant(source_, *given.proto);
    const bool is_parameter = becomes_parameter(given, value.tensor.shape());
    if (!is_parameter && given.roles.find('s') == std::string::npos) {
      constants_.emplace(name, std::move(value));
      return;
    }
    const Order order = stored_order(given, value.rank());
    const Tensor stored = in_order(value, order);
    value = {is_parameter ? parameter(stored) : stored, value.type, order};
    program_->weights.push_back({name, std::move(value), slot(name)});
  }

  // The slot of a value that is read; an initializer is read from the file when the first node wants it.
  void require_read(const std::string& name) {
    const auto found = initializers_.find(name);
    if (found != initializers_.end() && read_.insert(name).second) read_initializer(name, found->second);
  }

  int slot(const std::string& name) {
    return slots_.try_emplace(name, static_cast<int>(slots_.size())).first->second;
  }

  int slot_to_read(const std::string& name) {
    const auto found = constants_.find(name);
    const bool is_new = !slots_.contains(name);
    const int at = slot(name);
    if (found != constants_.end() && is_new) program_->constants.emplace_back(at, found->second);
    return at;
  }

  std::size_t add_dropout(const NodeProto& node, double rate) {
    program_->dropouts.emplace_back(rate, generator_);
    program_->dropout_names.push_back(node.outputs.front());
    return program_->dropouts.size() - 1;
  }

  // The node of this op that alone reads the node's first result, which no caller reads.
  const NodeProto* behind(const NodeProto& node, std::string_view op_type) const {
    const std::string& result = node.outputs[0];
    const auto readers = readers_.find(result);
    if (readers == readers_.end() || readers->second.size() != 1) return nullptr;
    for (const ValueInfoProto& output : graph_.outputs)
      if (output.name == result) return nullptr;
    const NodeProto& next = *readers->second[0];
    const bool fits = next.op_type == op_type && is_own_domain(next.domain) && next.inputs[0] == result;
    return fits ? &next : nullptr;
  }

  // Gives a convolution the batch norm and the ReLU behind it, and the batch norm's inputs. Returns the last of them.
  const NodeProto* take_over(Node& node, std::vector<std::string>& inputs) {
    const NodeProto* last = &node.proto();
    const bool is_conv = last->op_type == "Conv", is_transpose = last->op_type == "ConvTranspose";
    if (!is_conv && !is_transpose) return last;
    const bool has_groups = node.integer("group", 1) != 1;
    const NodeProto* norm = is_transpose && has_groups ? nullptr : behind(*last, "BatchNormalization");
    const auto is_there = [&](const std::string& name) {
      return initializers_.contains(resolved(name)) || constants_.contains(name) || slots_.contains(name);
    };
    if (norm != nullptr && norm->inputs.size() == 5 && norm->outputs.size() == 1 &&
        std::all_of(norm->inputs.begin() + 1, norm->inputs.end(), is_there)) {
      Node own = node_of(*norm, norm->inputs);
      find_mode(own);
      node.epilogue = {op_of(*norm).prepare(own), own.number("epsilon", 1e-5), false};
      own.require_all_read();
      inputs.resize(3);
      for (std::size_t i = 1; i < 5; ++i) inputs.push_back(resolved(norm->inputs[i]));
      taken_over_.insert(last = norm);
    }
    if (const NodeProto* relu = behind(*last, "Relu")) {
      node.epilogue.relu = true;
      taken_over_.insert(last = relu);
    }
    return last;
  }

  Node node_of(const NodeProto& proto, const std::vector<std::string>& inputs) {
    Node node(source_, proto, opset_);
    node.constant = [this, inputs](std::size_t i) -> const Value* {
      const auto found = i < inputs.size() ? constants_.find(inputs[i]) : constants_.end();
      return found == constants_.end() ? nullptr : &found->second;
    };
    node.is_read = [this](const std::string& name) { return wanted_.contains(name); };
    node.has_unbiased_variance = has_unbiased_variance_;
    node.add_dropout = [this, &proto](double rate) { return add_dropout(proto, rate); };
    return node;
  }

  void add_node(const NodeProto& proto) {
    const Op& op = op_of(proto);
    std::vector<std::string> inputs;
    for (const std::string& input : proto.inputs) inputs.push_back(resolved(input));
    Node node = node_of(proto, inputs);
    const NodeProto& last = *take_over(node, inputs);
    for (const std::string& input : inputs) require_read(input);
    Compute compute = op.prepare(node);
    node.require_all_read();
    if (proto.op_type == "BatchNormalization" || proto.op_type == "Dropout") find_mode(node);
    if (folds(op, proto, inputs)) return fold(node, compute, inputs);
    detail::OnnxProgram::Step step{node.str(), std::move(compute), {}, {}, {}};
    for (const std::string& input : inputs)
      step.inputs.push_back(input.empty() ? detail::OnnxProgram::kNone : slot_to_read(input));
    for (const std::string& output : last.outputs)
      step.results.push_back(wanted_.contains(output) ? slot(output) : detail::OnnxProgram::kNone);
    program_->steps.push_back(std::move(step));
  }

  void find_mode(const Node& node) {
    const Value* mode = node.proto().op_type == "Dropout" ? node.constant(2) : nullptr;
    if (node.integer("training_mode", 0) != 0 ||
        (mode != nullptr && mode->tensor.size() == 1 && number(*mode) != 0))
      program_->begins_in_training = true;
  }

  bool folds(const Op& op, const NodeProto& proto, const std::vector<std::string>& inputs) const {
    if (proto.op_type == "Constant") return true;
    if (!op.folds || folded_ > kFoldedTotal) return false;
    index_t elements = 0;
    for (const std::string& input : inputs) {
      if (input.empty()) continue;
      const auto found = constants_.find(input);
      if (found == constants_.end()) return false;
      elements += found->second.tensor.size();
    }
    return elements <= kFoldedInput;
  }

  void fold(const Node& node, const Compute& compute, const std::vector<std::string>& inputs) {
    const NoGrad no_grad;
    std::vector<Value> values;
    for (const std::string& input : inputs) values.push_back(input.empty() ? Value{} : constants_.at(input));
    Results results;
    try {
      results = compute({.inputs = values});
    } catch (const Error& error) {
      node.fail("cannot be computed: {}", error.message());
    }
    const auto& names = node.proto().outputs;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!wanted_.contains(names[i])) continue;
      if (i >= results.size()) node.fail("has no result {}", i);
      folded_ += results[i].tensor.size();
      constants_.emplace(names[i], results[i]);
    }
  }

  void add_outputs() {
    for (const ValueInfoProto& proto : graph_.outputs) {
      const std::string& name = resolved(proto.name);
      require_read(name);
      program_->outputs.push_back(info_of(proto));
      program_->output_slots.push_back(slot_to_read(name));
    }
    program_->slots = static_cast<int>(slots_.size());
  }

  void find_last_uses() {
    std::set<int> later(program_->output_slots.begin(), program_->output_slots.end());
    for (auto step = program_->steps.rbegin(); step != program_->steps.rend(); ++step)
      for (const std::vector<int>* slots : {&step->results, &step->inputs})
        for (const int slot : *slots)
          if (slot >= 0 && later.insert(slot).second) step->last_used.push_back(slot);
  }

  const Source& source_;
  const GraphProto& graph_;
  const OnnxOptions& options_;
  std::int64_t opset_;
  bool has_unbiased_variance_;
  Ops ops_;
  Generator generator_;
  std::unique_ptr<detail::OnnxProgram> program_;
  std::map<std::string, Initializer> initializers_;
  std::map<std::string, std::string> aliases_;
  std::map<std::string, Value> constants_;
  std::map<std::string, int> slots_;
  std::set<std::string> defined_, read_;
  std::set<std::string> wanted_;  // what a result depends on
  std::map<std::string, std::vector<const NodeProto*>> readers_;
  std::set<const NodeProto*> taken_over_;  // by convolutions in front of them
  std::vector<bool> live_;
  index_t folded_ = 0;
};

}  // namespace

std::unique_ptr<detail::OnnxProgram> build_program(const Source& source, const ModelProto& model,
                                                   const OnnxOptions& options) {
  return Builder(source, model, options).build();
}

}  // namespace tapegrad::inline v0::onnx
