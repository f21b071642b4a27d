#pragma once

// PyTorch's own files, .pt and .pth, and states as PyTorch names and lays them out.
//
//   State weights = read_pytorch("lenet.pt");              // torch.save(model.state_dict(), "lenet.pt")
//   std::cout << load_weights(net, weights, {.layout = Layout::OIHW, .by_order = true}).table();
//   ...                                                    // train on
//   write_pytorch("tuned.pt", pytorch_state(net));         // model.load_state_dict(torch.load("tuned.pt"))

#include <filesystem>
#include <map>
#include <string>

#include "tapegrad/tensor/state.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

class Module;

struct ReadPyTorchOptions {
  /// Reads only what stands under this key, and leaves it out of the names: "model" for {'model': state_dict, 'epoch':
  /// 3}, "module" for what DataParallel saved. Keys of nested dicts are separated by dots.
  std::string under = {};
};

/// Reads a file of torch.save() in PyTorch 1.6 and later: a state_dict, a tensor (its name is ""), or dicts, lists and tuples of
/// these, however nested: keys and indices, separated by dots, make the names. Numbers and booleans become numbers of the state (a
/// whole number that no double holds exactly an integer); strings and None are left out. Strides and offsets are undone: all tensors
/// are contiguous, with memory of their own.
///
/// float32, float64, int32 and uint8 are read as they are; float16 and bfloat16 exactly as Float32; bool as UInt8; int64, int16 and
/// int8 as Int32, if all values fit.
///
/// No code of the file is run. Throws an Error that names the file and the place for a file that is damaged or asks for anything
/// else (a whole model, NumPy's objects, sparse or quantized tensors), and for the format before 1.6, saying how to save it again.
[[nodiscard]] State read_pytorch(const std::filesystem::path& path, const ReadPyTorchOptions& options = {});

/// Writes a state as a file for torch.load(): an OrderedDict of tensors, numbers and integers. An earlier file is replaced only when
/// the new one is complete; the same state gives the same bytes. Throws when the file cannot be written, when a name is used twice
/// or is not UTF-8, for an undefined tensor, and for 4 GB and more.
void write_pytorch(const std::filesystem::path& path, const State& state);

struct PyTorchStateOptions {
  /// For each layer behind a Flatten, by its path, the shape of an image before that, [channels, height, width]: PyTorch
  /// flattens channels first.
  std::map<std::string, Shape> flattened = {};
  /// For each Dense in front of a Reshape to images, and normalizations in between, by path, their shape, [channels, height, width].
  std::map<std::string, Shape> unflattened = {};
};

/// A module's tensors as PyTorch names and lays them out (weight and bias; OIHW), for load_state_dict(strict=True) of a
/// model whose layers have the same names, and for Module::load_state() with Layout::OIHW. BatchNorm's
/// num_batches_tracked, which is not counted here, is 0; what Dropout saves of its generator is left out. Throws
/// for a layer behind a Flatten, and for a Dense in front of a Reshape, whose shapes are not in the options.
[[nodiscard]] State pytorch_state(Module& module, const PyTorchStateOptions& options = {});

}  // namespace v0
}  // namespace tapegrad
