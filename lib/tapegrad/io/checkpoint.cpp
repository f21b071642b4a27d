#include "tapegrad/io/checkpoint.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <new>
#include <set>
#include <span>
#include <system_error>
#include <utility>

#include "tapegrad/io/crc32_internal.h"
#include "tapegrad/io/file_internal.h"
#include "tapegrad/io/safetensors.h"
#include "tapegrad/io/system_internal.h"
#include "tapegrad/tensor/distinct_internal.h"
#include "tapegrad/tensor/no_memory_internal.h"

namespace fs = std::filesystem;

namespace tapegrad::inline v0 {
namespace {

constexpr std::string_view kTrainingState = "training_state", kRead = "read_checkpoint",
                           kWrite = "write_checkpoint", kFolder = "checkpoints";
constexpr std::string_view kReserved = "tapegrad.";
constexpr const char *kStep = "tapegrad.step", *kMetric = "tapegrad.metric", *kChecksum = "tapegrad.checksum";
constexpr std::string_view kBest = "best.safetensors", kBefore = "step-", kAfter = ".safetensors",
                           kUnfinished = ".tmp";

// ---- Checksum
// --------------------------------------------------------------------------------------------------

// Of what a state says, not of how a file says it: whatever happened to the file, what is read with the right
// checksum is what was written.
class Checksum {
 public:
  std::uint64_t value() const { return value_; }

  void add(std::span<const std::uint8_t> bytes) { value_ = detail::crc32(value_, bytes); }
  void add(std::uint64_t word) {
    const auto bytes = std::bit_cast<std::array<std::uint8_t, sizeof(word)>>(word);
    add(std::span<const std::uint8_t>(bytes));
  }
  void add(std::string_view text) {
    add(std::uint64_t{text.size()});
    add({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  }
  void add(double number) {  // which NaN it is does not survive being written in decimal
    add(std::bit_cast<std::uint64_t>(std::isnan(number) ? std::numeric_limits<double>::quiet_NaN() : number));
  }
  void add(const Tensor& x) {
    add(to_string(x.dtype()));
    add(static_cast<std::uint64_t>(x.rank()));
    for (const index_t size : x.shape()) add(static_cast<std::uint64_t>(size));
    dispatch(x.dtype(), [&]<class T>(std::type_identity<T>) {
      const std::span<const T> values = x.values<T>();
      add({reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()});
    });
  }
  template <class Named>
  void add_all(const Named& named) {
    add(std::uint64_t{named.size()});
    for (const auto& [key, value] : named) {
      add(std::string_view(key));
      add(value);
    }
  }

 private:
  std::uint32_t value_ = 0;
};

std::uint64_t checksum(const State& state) {
  Checksum sum;
  sum.add_all(state.tensors);
  sum.add_all(state.numbers);
  sum.add_all(state.integers);
  return sum.value();
}

// ---- Files in a folder
// -----------------------------------------------------------------------------------------

fs::path file_of(std::int64_t step) {
  return fmt::format("{}{:08}{}", kBefore, step, kAfter);
}

// The step that a file's name tells, nothing for other files.
std::optional<std::int64_t> step_of(std::string_view name) {
  if (!name.starts_with(kBefore) || !name.ends_with(kAfter)) return std::nullopt;
  const char* const end = name.data() + name.size() - kAfter.size();
  std::int64_t step = 0;
  const auto [stop, error] = std::from_chars(name.data() + kBefore.size(), end, step);
  return error == std::errc() && stop == end && step >= 0 ? std::optional(step) : std::nullopt;
}

bool is_leftover(std::string_view name) {
  return (name.starts_with(kBefore) || name.starts_with(kBest)) && name.ends_with(kUnfinished);
}

void check(std::string_view action, const fs::path& path, const std::error_code& error) {
  if (error) fail(kFolder, "cannot {} '{}': {}", action, path.string(), error.message());
}

void remove_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  check("remove", path, error);
}

// By step, the newest first.
std::map<std::int64_t, fs::path, std::greater<>> checkpoints_in(const fs::path& folder) {
  std::map<std::int64_t, fs::path, std::greater<>> found;
  for (const fs::path& path : detail::paths_in(kFolder, folder, true))
    if (const auto step = step_of(path.filename().string())) found[*step] = path;
  return found;
}

template <class T>
void require_same(T given, T value) {
  if (given != value) fail(kTrainingState, "the value must be {}, as in the saved run, got {}", given, value);
}

// Rethrows what a part threw, nested in an Error that names it; memory that is lacking is nobody's fault.
[[noreturn]] void refuse_part(const std::string& name) {
  const auto text = [&](std::string_view why) {
    return fmt::format("'{}' cannot be restored: {}", name, why);
  };
  try {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const Error& error) {
    std::throw_with_nested(
        Error(kTrainingState, text(error.op() == kTrainingState ? error.message() : error.what())));
  } catch (const std::exception& error) {
    std::throw_with_nested(Error(kTrainingState, text(error.what())));
  } catch (...) {
    std::throw_with_nested(Error(kTrainingState, text("something was thrown that is not a std::exception")));
  }
}

}  // namespace

// ---- The parts of a run
// ----------------------------------------------------------------------------------------

TrainingState& TrainingState::add(const std::string& name, Save save, Load load) {
  if (name.empty() || name.find('/') != std::string::npos)
    fail(kTrainingState, "the name of a part must not be empty or contain '/', got '{}'", name);
  if (std::ranges::find(parts_, name, &Part::name) != parts_.end())
    fail(kTrainingState, "two parts are called '{}'", name);
  parts_.push_back({name, std::move(save), std::move(load)});
  return *this;
}

TrainingState& TrainingState::add(const std::string& name, Generator& generator) {
  return add(
      name, [&generator] { return tapegrad::state(generator); },
      [&generator](const State& state) { tapegrad::load_state(generator, state); });
}

TrainingState& TrainingState::add(const std::string& name, Tensor& tensor) {
  return add(
      name,
      [&tensor] {
        return State{.tensors = {{"", tensor}}};
      },
      [&tensor](const State& state) {
        const Tensor* given = state.find("");
        if (given == nullptr)
          fail(kTrainingState, "the state has no such tensor ({} {})", tensor.dtype(), tensor.shape());
        if (given->dtype() != tensor.dtype() || given->shape() != tensor.shape())
          fail(kTrainingState, "the tensor must be {} {}, got {} {} in the state", tensor.dtype(),
               tensor.shape(), given->dtype(), given->shape());
        dispatch(tensor.dtype(), [&]<class T>(std::type_identity<T>) {
          std::ranges::copy(given->values<T>(), tensor.mutable_values<T>().begin());
        });
      });
}

TrainingState& TrainingState::add(const std::string& name, double& number) {
  return add(
      name,
      [&number] {
        return State{.numbers = {{"", number}}};
      },
      [&number](const State& state) { number = state.number(kTrainingState, ""); });
}

TrainingState& TrainingState::require(const std::string& name, double value) {
  return add(
      name,
      [value] {
        return State{.numbers = {{"", value}}};
      },
      [value](const State& state) { require_same(state.number(kTrainingState, ""), value); });
}

TrainingState& TrainingState::require_integer(const std::string& name, std::uint64_t value) {
  return add(
      name,
      [value] {
        return State{.integers = {{"", value}}};
      },
      [value](const State& state) { require_same(state.integer(kTrainingState, ""), value); });
}

void TrainingState::refuse_integer(std::uint64_t value) {
  fail(kTrainingState, "the variable's type cannot hold the state's value {}", value);
}

State TrainingState::state_view() const {
  State all;
  std::vector<std::size_t> part_of;
  for (const Part& part : parts_) {
    const auto named = [&](const std::string& key) {
      return key.empty() ? part.name : part.name + "/" + key;
    };
    const State state = part.save();
    for (const auto& [key, value] : state.tensors) all.tensors.emplace_back(named(key), value);
    part_of.resize(all.tensors.size(), static_cast<std::size_t>(&part - parts_.data()));
    for (const auto& [key, value] : state.numbers) all.numbers.emplace(named(key), value);
    for (const auto& [key, value] : state.integers) all.integers.emplace(named(key), value);
  }
  std::vector<Tensor> tensors;
  for (const auto& [name, value] : all.tensors) tensors.push_back(value);
  if (const auto shared = detail::find_overlap(tensors, part_of))
    fail(
        kTrainingState,
        "'{}' and '{}' share elements: of parts that share elements the last one to be restored would win; add one "
        "of them only",
        all.tensors[shared->first].first, all.tensors[shared->second].first);
  return all;
}

void TrainingState::load_state(const State& state) {
  std::map<std::string, State> given;
  for (const Part& part : parts_) given[part.name];
  const auto of_part = [&](const std::string& name) -> std::pair<State&, std::string> {
    const std::size_t slash = name.find('/');
    const auto part = given.find(name.substr(0, slash));
    if (part == given.end())
      fail(kTrainingState, "the state has '{}', but no part of that name was added", name);
    return {part->second, slash == std::string::npos ? "" : name.substr(slash + 1)};
  };
  // What shares memory with the run would change while its parts are restored one after the other.
  std::set<const detail::Storage*> held;
  for (const auto& [name, value] : state_view().tensors) held.insert(TensorAccess::storage(value));
  for (const auto& [name, value] : state.tensors) {
    const auto [part, key] = of_part(name);
    part.tensors.emplace_back(
        key, held.contains(TensorAccess::storage(value)) ? TensorAccess::clone(value) : value);
  }
  for (const auto& [name, value] : state.numbers) {
    const auto [part, key] = of_part(name);
    part.numbers.emplace(key, value);
  }
  for (const auto& [name, value] : state.integers) {
    const auto [part, key] = of_part(name);
    part.integers.emplace(key, value);
  }

  // If the third part refuses, the first two have changed already: what they were is kept until all are done.
  std::vector<State> before;
  for (const Part& part : parts_) {
    before.push_back(part.save());
    for (auto& [name, value] : before.back().tensors) value = TensorAccess::clone(value);
  }
  std::size_t at = 0;
  try {
    for (; at < parts_.size(); ++at) parts_[at].load(given[parts_[at].name]);
  } catch (...) {
    for (std::size_t i = 0; i < at; ++i) {
      try {
        parts_[i].load(before[i]);
      } catch (const std::exception&) {  // for want of memory: the others are taken back all the same
      }
    }
    refuse_part(parts_[at].name);
  }
}

// ---- One file
// --------------------------------------------------------------------------------------------------

namespace {

// f(), whose errors are those of op: what reads and writes the file is not what the user called.
template <class F>
auto in_the_name_of(std::string_view op, F f) {
  try {
    return f();
  } catch (const detail::NoMemory& error) {
    throw detail::NoMemory(op, error.message());
  } catch (const Error& error) {
    throw Error(op, error.message());
  }
}

}  // namespace

void write_checkpoint(const fs::path& path, const Checkpoint& checkpoint) {
  State state = checkpoint.state;
  const auto check_names = [](const auto& named) {
    for (const auto& [name, value] : named)
      if (name.starts_with(kReserved))
        fail(kWrite, "names that begin with '{1}' are reserved, got '{0}'", name, kReserved);
  };
  check_names(state.tensors);
  check_names(state.numbers);
  check_names(state.integers);
  state.require_names_once(kWrite);
  if (checkpoint.step < 0) fail(kWrite, "the step must be at least 0, got {}", checkpoint.step);
  state.integers[kStep] = static_cast<std::uint64_t>(checkpoint.step);
  if (checkpoint.metric) state.numbers[kMetric] = *checkpoint.metric;
  state.integers[kChecksum] = checksum(state);
  in_the_name_of(kWrite, [&] { write_safetensors(path, state); });
}

Checkpoint read_checkpoint(const fs::path& path) {
  Checkpoint checkpoint{.state = in_the_name_of(kRead, [&] { return read_safetensors(path); })};
  State& state = checkpoint.state;
  const auto sum = state.integers.extract(kChecksum);
  if (!sum) detail::fail_file(kRead, path, "is not a checkpoint: it has no checksum");
  if (const std::uint64_t expected = checksum(state); sum.mapped() != expected)
    detail::fail_file(kRead, path, "is damaged: its checksum is {:08x}, that of its content {:08x}",
                      sum.mapped(), expected);
  const auto step = state.integers.extract(kStep);
  if (!step || step.mapped() > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
    detail::fail_file(kRead, path, "is not a checkpoint: it has no step");
  checkpoint.step = static_cast<std::int64_t>(step.mapped());
  if (const auto metric = state.numbers.extract(kMetric)) checkpoint.metric = metric.mapped();
  return checkpoint;
}

// ---- Those of a run
// --------------------------------------------------------------------------------------------

struct Checkpoints::Lock : detail::Descriptor {  // of the folder
  using Descriptor::Descriptor;
};

Checkpoints::Checkpoints(fs::path folder, const CheckpointsOptions& options)
    : folder_(std::move(folder)), options_(options) {
  if (!folder_.has_filename()) folder_ = folder_.parent_path();  // "runs/" is "runs"
  detail::require_path(kFolder, folder_);
  if (options.keep < 1) fail(kFolder, "keep must be at least 1, got {}", options.keep);
}

Checkpoints::~Checkpoints() = default;
Checkpoints::Checkpoints(Checkpoints&&) noexcept = default;
Checkpoints& Checkpoints::operator=(Checkpoints&&) noexcept = default;

// Two runs that save to one folder would remove each other's checkpoints. The system takes the lock back when
// a process ends, however it does.
void Checkpoints::lock() {
  if (lock_) return;
  std::error_code error;
  fs::create_directories(folder_, error);
  check("make", folder_, error);
  auto lock = std::make_unique<Lock>(detail::system::lock_folder(folder_));
  if (lock->get() < 0 && errno == EWOULDBLOCK)
    fail(kFolder, "another run saves to '{}': end that run, or choose another folder", folder_.string());
  if (lock->get() < 0) check("open", folder_, {errno, std::generic_category()});
  lock_ = std::move(lock);
}

bool Checkpoints::improves(std::optional<double> metric) {
  if (!metric || !std::isfinite(*metric)) return false;
  if (!best_metric_) {  // after an earlier process
    try {
      if (const auto best = this->best()) best_metric_ = best->metric;
    } catch (const detail::NoMemory&) {
      throw;
    } catch (const Error&) {  // a damaged one is as good as none
    }
  }
  return !best_metric_ || (options_.higher_is_better ? *metric > *best_metric_ : *metric < *best_metric_);
}

void Checkpoints::save(const Checkpoint& checkpoint) {
  lock();
  // What a process that was killed while it saved has left takes the room that this one needs.
  for (const fs::path& path : detail::paths_in(kFolder, folder_, true))
    if (is_leftover(path.filename().string())) remove_file(path);

  // The best first: whoever continues from the other one does not come by here again.
  if (improves(checkpoint.metric)) {
    write_checkpoint(folder_ / kBest, checkpoint);
    best_metric_ = checkpoint.metric;
  }
  const fs::path path = folder_ / file_of(checkpoint.step);
  write_checkpoint(path, checkpoint);
  for (const fs::path& damaged : damaged_)
    if (damaged != path) remove_file(damaged);
  damaged_.clear();
  int kept = 0;
  for (const auto& [step, earlier] : checkpoints_in(folder_))
    if (step > checkpoint.step || ++kept > options_.keep) remove_file(earlier);
}

std::optional<Checkpoints::Newest> Checkpoints::newest() {
  std::vector<std::string> damaged;
  damaged_.clear();
  for (const auto& [step, path] : checkpoints_in(folder_)) {
    try {
      return Newest{read_checkpoint(path), path, damaged};
    } catch (const detail::NoMemory&) {  // which does not make the file a damaged one, to be removed
      throw;
    } catch (const Error& error) {
      damaged.emplace_back(error.message());
      damaged_.push_back(path);
    }
  }
  if (damaged.empty()) return std::nullopt;
  fail(kFolder, "none of the {} checkpoints can be read: {}", damaged.size(), join(damaged, "; "));
}

std::optional<Checkpoint> Checkpoints::best() const {
  const fs::path path = folder_ / kBest;
  std::error_code error;
  const bool exists = fs::exists(path, error);
  check("look for", path, error);
  if (!exists) return std::nullopt;
  return read_checkpoint(path);
}

std::optional<fs::path> Checkpoints::set_aside() {
  std::error_code error;
  if (checkpoints_in(folder_).empty() && !fs::exists(folder_ / kBest, error)) return std::nullopt;
  lock();
  fs::path old = folder_;
  old += ".old";
  for (int number = 2; fs::exists(fs::symlink_status(old, error)); ++number) {
    old = folder_;
    old += ".old" + std::to_string(number);
  }
  fs::rename(folder_, old, error);
  check("rename", folder_, error);
  lock_.reset();
  best_metric_.reset();
  return old;
}

}  // namespace tapegrad::inline v0
