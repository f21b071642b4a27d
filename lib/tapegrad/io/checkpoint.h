#pragma once

// Checkpoints: the whole state of a training run in files that survive a crash.

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tapegrad/base/random.h"
#include "tapegrad/tensor/state.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// Modules, optimizers, schedules, moving averages, ...
template <class T>
concept HasState = requires(T& part, const State& state) {
  { part.state() } -> std::convertible_to<State>;
  part.load_state(state);
};

/// All that a training run has to remember to be continued later, part by part; it has a state itself:
///
///   TrainingState run;
///   run.add("net", net).add("adam", adam).add("generator", generator).add("step", step);
///   run.require("batch size", options.batch);
///   write_checkpoint("run.safetensors", {.state = run.state_view(), .step = step});
///   ...
///   run.load_state(read_checkpoint("run.safetensors").state);
///
/// A loader needs no part: which batch comes next are two numbers, loader.epoch(epoch, batch).
class TrainingState {
 public:
  // All parts must outlive this. All throw when the name is used already, is empty or has a '/' in it.

  template <HasState T>
  TrainingState& add(const std::string& name, T& part) {
    return add(
        name,
        [&part] {
          if constexpr (requires {
                          { part.state_view() } -> std::convertible_to<State>;
                        })
            return State(part.state_view());
          else
            return State(part.state());
        },
        [&part](const State& state) { part.load_state(state); });
  }
  TrainingState& add(const std::string& name, Generator& generator);
  /// The elements of a tensor, which keeps its shape and dtype.
  TrainingState& add(const std::string& name, Tensor& tensor);
  TrainingState& add(const std::string& name, double& number);
  template <std::integral T>
  TrainingState& add(const std::string& name, T& number) {
    return add(
        name,
        [&number] {
          return State{.integers = {{"", static_cast<std::uint64_t>(number)}}};
        },
        [&number](const State& state) {
          const std::uint64_t value = state.integer("training_state", "");
          if (static_cast<std::uint64_t>(static_cast<T>(value)) != value) refuse_integer(value);
          number = static_cast<T>(value);
        });
  }

  /// A number that decides how the run goes on, such as a seed: the state of a run with another one is
  /// refused.
  TrainingState& require(const std::string& name, double value);
  template <std::integral T>
  TrainingState& require(const std::string& name, T value) {
    return require_integer(name, static_cast<std::uint64_t>(value));
  }

  /// The parts' states: "net/0.kernel" is the tensor "0.kernel" of the part "net". A snapshot, which training does not
  /// change.
  [[nodiscard]] State state() const { return state_view().copy(); }
  /// The same with the tensors of the parts themselves, where these have a state_view(): for writing a file.
  [[nodiscard]] State state_view() const;
  /// Throws, and changes no part, when a part refuses its state, or there is a state of a part that this run
  /// does not have.
  void load_state(const State& state);

 private:
  using Save = std::function<State()>;
  using Load = std::function<void(const State&)>;
  struct Part {
    std::string name;
    Save save;
    Load load;
  };
  TrainingState& add(const std::string& name, Save save, Load load);
  TrainingState& require_integer(const std::string& name, std::uint64_t value);
  [[noreturn]] static void refuse_integer(std::uint64_t value);

  std::vector<Part> parts_;
};

struct Checkpoint {
  State state = {};
  std::int64_t step = 0;              ///< of the run, when it was saved
  std::optional<double> metric = {};  ///< how good it was
};

/// Writes a safetensors file with a checksum of all that is in it, and has it on the disk when it returns;
/// until then what was there before stays. Throws when it cannot, and when the state has a name of its own
/// that begins with "tapegrad.".
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Throws when the file is no checkpoint, cannot be read, or does not hold exactly what was written.
[[nodiscard]] Checkpoint read_checkpoint(const std::filesystem::path& path);

struct CheckpointsOptions {
  int keep = 2;                   ///< so many of the newest, at least 1
  bool higher_is_better = false;  ///< of the metric: for an accuracy, not for a loss
};

/// The checkpoints of one run, in a folder of its own: step-00000100.safetensors, step-00000200.safetensors
/// and best.safetensors. Whenever the process or the machine stops, the newest that was saved is there.
class Checkpoints {
 public:
  /// Does nothing yet. Throws when options.keep is less than 1.
  explicit Checkpoints(std::filesystem::path folder, const CheckpointsOptions& options = {});
  ~Checkpoints();
  Checkpoints(Checkpoints&&) noexcept;
  Checkpoints& operator=(Checkpoints&&) noexcept;

  const std::filesystem::path& folder() const { return folder_; }

  /// Writes a checkpoint, as the best one too if its metric is finite and better than all before. Only then
  /// removes the oldest, those of later steps, and damaged ones that newest() passed over: the run has gone
  /// on from an earlier one. Makes the folder if it is missing. Throws when it cannot be written, a full
  /// disk included: those before it are still there. Throws as well while another object, in whatever
  /// process, saves to the same folder.
  void save(const Checkpoint& checkpoint);

  struct Newest {
    Checkpoint checkpoint;
    std::filesystem::path path;
    std::vector<std::string> damaged;  ///< what is wrong with those that are newer still
  };
  /// The newest checkpoint that can be read; nothing when there is no file of one. Throws when all that are
  /// there are damaged.
  std::optional<Newest> newest();
  /// The one with the best metric; nothing when there is no file of it. Throws when it is damaged.
  std::optional<Checkpoint> best() const;

  /// Moves the folder, if there are checkpoints in it, to the same name with ".old" at the end, or ".old2",
  /// ".old3", ...: the first that is free, so that no earlier run is lost. For a run that begins anew. Returns
  /// the new name if it moved the folder.
  std::optional<std::filesystem::path> set_aside();

 private:
  struct Lock;
  void lock();
  bool improves(std::optional<double> metric);

  std::filesystem::path folder_;
  CheckpointsOptions options_;
  std::unique_ptr<Lock> lock_;                  // from the first save on
  std::vector<std::filesystem::path> damaged_;  // that newest() passed over
  std::optional<double> best_metric_;           // as far as it is known
};

}  // namespace v0
}  // namespace tapegrad
