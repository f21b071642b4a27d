#pragma once

// The functions that the page calls: C functions, so that JavaScript knows them by their names. A text that is returned is JSON,
// and stays valid until the next call. None of them throws: what the library refuses is in the JSON as "error".

#ifdef __cplusplus
extern "C" {
#endif

/// The numbers that the page may change, row by row: 0 the input x (7 x 7), 1 the kernel w (4 x 4), 2 the gradient g of the
/// result (27 x 27). A smaller image or kernel takes the upper left corner.
double* playground_field(int which);
/// Fills the three fields with small whole numbers that depend on the seed alone.
void playground_fill(int seed);

/// The padding of playground_scene(): the number of pixels on each side, or one of these.
enum { kPaddingValid = 0, kPaddingSame = -1, kPaddingFull = -2 };
/// The result of conv2d(x, w), or of conv2d_transpose(x, w) where transpose is 1, of square images of one channel; its gradients
/// for the output gradient g; the terms of each of these numbers; and the matrix C. output_padding -1 is none, and it counts for
/// the transpose alone.
const char* playground_scene(int transpose, int size, int kernel, int stride, int padding, int dilation,
                             int output_padding);
/// Of the scene's transposed side, the stamp of pixel number `last`, and the sum of the stamps up to that one.
const char* playground_stamps(int last);

/// Begins to train the autoencoder of examples/mnist_autoencoder on the 8,000 digits of data/, which are drawn when they are
/// needed. The losses are those of `mnist_autoencoder --seed SEED --batch BATCH --learning-rate RATE`, to rounding.
const char* playground_train(int seed, int batch, double learning_rate);
/// One step; returns the loss, or NaN where something went wrong, which playground_error() tells.
double playground_step(void);
void playground_set_learning_rate(double learning_rate);
const char* playground_error(void);
/// The first `count` digits of the test set, and what the autoencoder makes of them now: [2, count, 28, 28], from 0 to 1.
const float* playground_pictures(int count);
/// The mean squared error of the first `count` digits of the test set.
double playground_test_loss(int count);

#ifdef __cplusplus
}
#endif
