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

/// Types with a state that can be saved and loaded: modules, optimizers, schedules, moving averages, ...
template <class T>
concept HasState = requires(T& part, const State& state) {
  { part.state() } -> std::convertible_to<State>;
  part.load_state(state);
};

/// All parts of a training run that are needed to continue it later, and their states together:
///
///   TrainingState run;
///   run.add("net", net).add("adam", adam).add("generator", generator).add("step", step);
///   run.require("batch size", options.batch);
///   write_checkpoint("run.safetensors", {.state = run.state_view(), .step = step});
///   ...
///   run.load_state(read_checkpoint("run.safetensors").state);
///
/// A loader is not a part: two numbers, which the run keeps, say which batch comes next: loader.epoch(epoch, batch).
class TrainingState {
 public:
  // All parts must outlive the TrainingState. All throw when the name is already used, is empty or contains a '/'.

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
  /// The elements of a tensor; load_state() needs the same shape and dtype.
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

  /// A number that must be the same when the run is continued, such as a seed: load_state() throws for a state with
  /// another number.
  TrainingState& require(const std::string& name, double value);
  template <std::integral T>
  TrainingState& require(const std::string& name, T value) {
    return require_integer(name, static_cast<std::uint64_t>(value));
  }

  /// A snapshot of the parts' states, which training does not change. "net/0.kernel" is the tensor "0.kernel" of the
  /// part "net".
  [[nodiscard]] State state() const { return state_view().copy(); }
  /// As state(), but with the tensors of the parts themselves, if they have a state_view(): for writing a file. Both,
  /// and load_state(), throw when two parts share elements.
  [[nodiscard]] State state_view() const;
  /// Throws, and changes no part, when a part refuses its state, and when the state has a part that was not added.
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
  State state = {};                   ///< the parts of the run: TrainingState::state_view() makes it
  std::int64_t step = 0;              ///< the step of the run at which it was saved
  std::optional<double> metric = {};  ///< the value that decides which checkpoint is the best
};

/// Writes a safetensors file with a checksum of its content. When it returns, the file is on the disk; until then an
/// earlier file of that name stays. Throws when the file cannot be written, and when the state has a name that begins
/// with "tapegrad.".
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Reads a file that write_checkpoint() wrote. Throws when the file is not a checkpoint, cannot be read, or is damaged.
[[nodiscard]] Checkpoint read_checkpoint(const std::filesystem::path& path);

struct CheckpointsOptions {
  int keep = 2;  ///< number of newest checkpoints to keep, at least 1
  /// Whether a larger metric is better: true for an accuracy, false for a loss.
  bool higher_is_better = false;
};

/// The checkpoints of one run, in a folder of their own: step-00000100.safetensors, step-00000200.safetensors and
/// best.safetensors. Whenever the process or the machine stops, the newest checkpoint that was saved is there.
class Checkpoints {
 public:
  /// Neither reads nor writes anything yet. Throws when options.keep is less than 1.
  explicit Checkpoints(std::filesystem::path folder, const CheckpointsOptions& options = {});
  ~Checkpoints();
  Checkpoints(Checkpoints&&) noexcept;
  Checkpoints& operator=(Checkpoints&&) noexcept;

  const std::filesystem::path& folder() const { return folder_; }

  /// Writes a checkpoint, and writes it as best.safetensors too if its metric is finite and better than all before.
  /// After that, removes the oldest checkpoints, those of later steps (the run continued from an earlier one), and
  /// damaged ones that newest() passed over. Makes the folder if it is missing. Throws when the checkpoint cannot be
  /// written, for example on a full disk: earlier checkpoints are still there. Throws as well while another object, in
  /// whatever process, saves to the same folder.
  void save(const Checkpoint& checkpoint);

  struct Newest {
    Checkpoint checkpoint;             ///< as save() got it
    std::filesystem::path path;        ///< the file that it was read from
    std::vector<std::string> damaged;  ///< what is wrong with newer checkpoints that were passed over
  };
  /// The newest checkpoint that can be read; nothing when there are no checkpoints. Throws when all of them are
  /// damaged.
  [[nodiscard]] std::optional<Newest> newest();
  /// The checkpoint with the best metric; nothing when there is none. Throws when it is damaged.
  [[nodiscard]] std::optional<Checkpoint> best() const;

  /// For a run that begins anew: renames the folder, if it holds checkpoints, by adding ".old", or ".old2", ".old3",
  /// ..., the first name that is free, so that no earlier run is lost. Returns the new name if the folder was renamed.
  std::optional<std::filesystem::path> set_aside();

 private:
  struct Lock;
  void lock();
  [[nodiscard]] bool improves(std::optional<double> metric);

  std::filesystem::path folder_;
  CheckpointsOptions options_;
  std::unique_ptr<Lock> lock_;                  // from the first save on
  std::vector<std::filesystem::path> damaged_;  // that newest() passed over
  std::optional<double> best_metric_;           // as far as it is known
};

}  // namespace v0
}  // namespace tapegrad
