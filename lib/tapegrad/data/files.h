#pragma once

// Data sets in files: MNIST, tables of numbers, folders of images.

#include <filesystem>

#include "tapegrad/data/dataset.h"
#include "tapegrad/io/csv.h"
#include "tapegrad/version.h"

namespace tapegrad {
inline namespace v0 TAPEGRAD_API {

enum class Split { Train, Test };

/// Reads MNIST, or any data set that comes in the same files (Fashion-MNIST does): in directory,
/// train-images-idx3-ubyte and train-labels-idx1-ubyte for Split::Train, t10k-images-idx3-ubyte and
/// t10k-labels-idx1-ubyte for Split::Test, each plain or with ".gz" at the end. Inputs are UInt8, [n, 28, 28, 1], where
/// 0 is the background and 255 full ink; targets are Int32, [n]. Throws, naming the files, when they are missing or
/// damaged, images are not 28 x 28 pixels, or there are not as many labels as images.
[[nodiscard]] Dataset read_mnist(const std::filesystem::path& directory, Split split);

/// The rows of a table of numbers that read_csv() reads: inputs [n, columns], the labels as targets [n], and class
/// names if the labels are names.
[[nodiscard]] Dataset csv_dataset(const std::filesystem::path& path, const CsvOptions& options);

struct ImageFolderOptions {
  int height = 0, width = 0;              ///< what all are resized to; 0 is what the first image has
  int channels = 1;                       ///< 1 is grey, 3 red, green and blue
  index_t max_pixels = index_t{1} << 24;  ///< of an image before it is resized
};

/// The images directory/CLASS/NAME.png (or .jpg, .jpeg, .bmp, in upper or lower case), decoded and resized each time a
/// sample is read: UInt8, [n, height, width, channels]. Images are in byte order of CLASS, then of NAME; labels, Int32,
/// [n], are the indices of their classes in class_names. Other files, and names that begin with a dot, are ignored.
/// Throws when the directory cannot be read, or has no classes, or a class has no images; reading a sample throws when
/// its image cannot be read.
[[nodiscard]] Dataset image_folder(const std::filesystem::path& directory,
                                   const ImageFolderOptions& options = {});

}  // namespace v0
}  // namespace tapegrad
