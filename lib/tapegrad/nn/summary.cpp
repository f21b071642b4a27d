#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <vector>

#include "tapegrad/autograd/tape.h"
#include "tapegrad/base/context.h"
#include "tapegrad/base/fail_internal.h"
#include "tapegrad/nn/class_internal.h"
#include "tapegrad/nn/module.h"

namespace tapegrad::inline v0 {

namespace {

// 1234567 as "1,234,567".
std::string grouped(index_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string in_bytes(std::size_t bytes) {
  constexpr double kKilo = 1024;
  const auto size = static_cast<double>(bytes);
  if (size < kKilo) return fmt::format("{} B", bytes);
  if (size < kKilo * kKilo) return fmt::format("{:.2f} KB", size / kKilo);
  return fmt::format("{:.2f} MB", size / (kKilo * kKilo));
}

struct Row {
  std::string path, type;
  const Module* module = nullptr;
  index_t elements = 0;
  bool has_modules = false, has_tensors = false;
  std::string shape = {};
};

struct Total {
  index_t elements = 0;
  std::size_t bytes = 0;
  void add(index_t count, DType dtype) {
    elements += count;
    bytes += static_cast<std::size_t>(count) * size_of(dtype);
  }
  std::string str() const { return fmt::format("{} ({})", grouped(elements), in_bytes(bytes)); }
};

std::string outer_path(const std::string& path) {
  const auto dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

// Told of every call of a module on this thread, and its result, while it stands in the thread's context.
using CallObserver = std::function<void(const Module& module, const Tensor& y)>;

// The modules in eval mode, and told of their calls, until the end of the scope.
class Trial {
 public:
  Trial(Module& module, CallObserver observer) : observer_(std::move(observer)) {
    remember(module);
    Visitor visitor([](const std::string&, Tensor&) {},
                    [&](const std::string&, Module& inner) { remember(inner); });
    module.visit(visitor);
    module.eval();
    std::swap(detail::context().call_observer, current_);
  }
  ~Trial() {
    std::swap(detail::context().call_observer, current_);
    for (const auto& [module, training] : modes_) module->train(training);
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

 private:
  void remember(Module& module) { modes_.emplace_back(&module, module.training()); }
  CallObserver observer_;
  const CallObserver* current_ = &observer_;
  std::vector<std::pair<Module*, bool>> modes_;  // outer ones before those inside
};

std::string table(const std::vector<Row>& rows, const std::vector<std::string>& sums) {
  std::vector<std::array<std::string, 3>> cells = {{"Layer (type)", "Output shape", "Parameters"}};
  for (const Row& row : rows)
    cells.push_back({row.path.empty() ? row.type : fmt::format("{} ({})", row.path, row.type), row.shape,
                     grouped(row.elements)});
  std::array<std::size_t, 3> widths{};
  for (const auto& line : cells)
    for (std::size_t i = 0; i < 3; ++i) widths[i] = std::max(widths[i], line[i].size());
  const std::string rule(widths[0] + widths[1] + widths[2] + 4, '=');
  std::string text;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    text += fmt::format("{:<{}}  {:<{}}  {:>{}}\n", cells[i][0], widths[0], cells[i][1], widths[1],
                        cells[i][2], widths[2]);
    if (i == 0) text += rule + "\n";
  }
  text += rule + "\n";
  for (const std::string& sum : sums) text += sum + "\n";
  return text;
}

}  // namespace

std::string Module::summary(const Shape& input_shape) {
  DType dtype = DType::Float32;
  for (const auto& [path, tensor] : state_view().tensors)
    if (tensor.is_parameter()) {
      dtype = tensor.dtype();
      break;
    }
  return summary(zeros(input_shape, dtype));
}

std::string Module::summary(const Tensor& input) {
  std::vector<Row> rows = {{"", detail::class_name(*this), this}};
  std::map<std::string, std::size_t> row_of = {{"", 0}};
  std::set<const detail::Storage*> counted;
  Total all, trained, buffers;
  // The row of the module that a path lies in: a name may have dots itself.
  const auto owner_of = [&](std::string path) -> Row& {
    do path = outer_path(path);
    while (!row_of.contains(path));
    return rows[row_of[path]];
  };
  Visitor visitor(
      [&](const std::string& path, Tensor& tensor) {
        const detail::Storage* storage = TensorAccess::storage(tensor);
        if (!counted.insert(storage).second) return;
        Row& owner = owner_of(path);
        owner.has_tensors = true;
        if (!tensor.is_parameter()) return buffers.add(tensor.size(), tensor.dtype());
        const index_t count = storage->count();  // a view of a parameter is that parameter
        owner.elements += count;
        all.add(count, tensor.dtype());
        if (!tensor.is_stopped()) trained.add(count, tensor.dtype());
      },
      [&](const std::string& path, Module& module) {
        owner_of(path).has_modules = true;
        row_of[path] = rows.size();
        rows.push_back({path, detail::class_name(module), &module});
      });
  visit(visitor);

  std::map<const Module*, std::string> shapes;
  std::vector<std::string> sums;
  {
    const NoGrad no_grad;
    const Trial trial(
        *this, [&](const Module& module, const Tensor& y) { shapes.emplace(&module, y.shape().str()); });
    const Tape tape;
    (void)(*this)(input);
    for (const Tensor& used : tape.parameters())
      if (!counted.contains(TensorAccess::storage(used)))
        sums.push_back(fmt::format(
            "Neither trained nor saved: a parameter of shape {} that forward() uses but visit() does not show",
            used.shape()));
  }
  std::vector<Row> shown;
  for (Row& row : rows) {
    if (row.has_modules && !row.has_tensors) continue;  // what it holds is shown
    row.shape = shapes[row.module];
    shown.push_back(row);
  }
  const Total fixed{all.elements - trained.elements, all.bytes - trained.bytes};
  const std::vector<std::string> totals = {"Parameters: " + all.str(), "Trained: " + trained.str(),
                                           "Not trained: " + fixed.str(), "Buffers: " + buffers.str()};
  sums.insert(sums.begin(), totals.begin(), totals.end());
  return table(shown, sums);
}

}  // namespace tapegrad::inline v0
