#pragma once

// Data sets: inputs with their targets, read from files, split and put together.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tapegrad/data/samples.h"
#include "tapegrad/io/csv.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

/// What a network is given, such as images or rows of numbers, and what it should make of each. Any Samples make a
/// data set, such as tensors and arrays in files: Dataset{.inputs = open_npy("x.npy"), .targets = read_npy("y.npy")}.
struct Dataset {
  Samples inputs{};   ///< [n, ...]
  Samples targets{};  ///< [n, ...], for classes Int32 of shape [n]; not defined if there are none
  std::vector<std::string> class_names{};  ///< of the labels 0, 1, ..., if they are known
};

/// The samples of these numbers, in this order; a number may come several times. Throws for numbers that are
/// not in 0..size() - 1.
[[nodiscard]] Dataset subset(const Dataset& data, std::vector<index_t> numbers);

/// The samples of all sets, one set after the other. Throws when there is none, when inputs or targets differ
/// in shape or dtype, or some have targets and others do not, and for different class names.
[[nodiscard]] Dataset concatenate(const std::vector<Dataset>& sets);

/// Deals the samples out to sets of these sizes, by a random order that is a function of the seed. Throws
/// when the sizes are negative or more than the samples in all; samples may be left over.
[[nodiscard]] std::vector<Dataset> split_counts(const Dataset& data, const std::vector<index_t>& counts,
                                                std::uint64_t seed);

/// The same by fractions of all samples, such as {0.8, 0.2}. Each set ends where its fraction, added to those
/// before it, rounds to, so fractions that add up to 1 leave nothing over. Throws when they are negative or
/// add up to more.
[[nodiscard]] std::vector<Dataset> split_fractions(const Dataset& data, const std::vector<double>& fractions,
                                                   std::uint64_t seed);

enum class Split { Train, Test };

/// Reads MNIST, or any data set that comes in the same files (Fashion-MNIST does): in directory,
/// train-images-idx3-ubyte and train-labels-idx1-ubyte for Split::Train, t10k-images-idx3-ubyte and
/// t10k-labels-idx1-ubyte for Split::Test, each plain or with ".gz" at the end. Inputs are UInt8, [n, 28, 28,
/// 1], 0 the background and 255 full ink; targets Int32, [n]. Throws, naming the files,
/// when they are not there, damaged, not 28 x 28 pixels, or of different lengths.
[[nodiscard]] Dataset read_mnist(const std::filesystem::path& directory, Split split);

/// Rows of a table of numbers as read_csv reads it: inputs [n, columns], the labels as targets [n], and the labels'
/// names if they have any.
[[nodiscard]] Dataset csv_dataset(const std::filesystem::path& path, const CsvOptions& options);

struct ImageFolderOptions {
  int height = 0, width = 0;               ///< what all are resized to; 0 is what the first image has
  int channels = 1;                        ///< 1 is grey, 3 red, green and blue
  index_t most_pixels = index_t{1} << 24;  ///< of an image before it is resized
};

/// The images directory/CLASS/NAME.png (or .jpg, .jpeg, .bmp, in any case), each decoded and resized whenever
/// it is asked for: UInt8, [n, height, width, channels]. They are in byte order of CLASS,
/// then of NAME; their labels, Int32, [n], are the places of their class in class_names. Other files are left
/// out, and whatever begins with a dot. Throws when the directory cannot be read, has no classes, or one of
/// them no images; for an image that cannot be read, when it is asked for.
[[nodiscard]] Dataset image_folder(const std::filesystem::path& directory,
                                   const ImageFolderOptions& options = {});

}  // namespace v0
}  // namespace tapegrad
