/* A C program that tells stripes across from stripes along: it builds a net, trains it, saves it, and loads it into a second net,
   which computes the same. Exits with 0 if all that is so. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tapegrad_c.h"

enum { IMAGES = 64, CLASSES = 2 };

static int failures = 0;

static void expect(int holds, const char* what, const tapegrad_net* net) {
  if (holds) return;
  fprintf(stderr, "c: %s (last error: %s)\n", what, tapegrad_last_error(net));
  ++failures;
}

/* 4 x 4 images of one channel, to two classes. */
static void add_layers(tapegrad_net* net) {
  int failed = 0;
  tapegrad_conv2d_options conv = tapegrad_conv2d_default();
  conv.in_channels = 1;
  conv.filters = 8;
  conv.kernel_size[0] = conv.kernel_size[1] = 3;
  conv.padding = TAPEGRAD_SAME;
  failed |= tapegrad_add_conv2d(net, &conv);
  tapegrad_batch_norm_options norm = tapegrad_batch_norm_default();
  norm.channels = 8;
  failed |= tapegrad_add_batch_norm(net, &norm);
  failed |= tapegrad_add_activation(net, TAPEGRAD_RELU);
  const tapegrad_max_pool2d_options pool = tapegrad_max_pool2d_default();
  failed |= tapegrad_add_max_pool2d(net, &pool);
  failed |= tapegrad_add_flatten(net);
  tapegrad_dense_options dense = tapegrad_dense_default();
  dense.in_features = 2 * 2 * 8;
  dense.units = CLASSES;
  failed |= tapegrad_add_dense(net, &dense);
  expect(!failed, "a layer was refused", net);
}

/* Stripes across or along, and noise. */
static void draw(float* images, int32_t* labels) {
  uint32_t state = 1;
  for (int i = 0; i < IMAGES; ++i) {
    labels[i] = i % CLASSES;
    for (int pixel = 0; pixel < 16; ++pixel) {
      state = state * 1664525u + 1013904223u;
      const float noise = (float)(state >> 8) / 16777216.0f;
      images[16 * i + pixel] = noise + (float)(labels[i] == 0 ? pixel % 2 : pixel / 4 % 2);
    }
  }
}

/* Arguments that are wrong: a status and a text, never a crash. */
static void be_wrong(tapegrad_net* net, const float* images) {
  const tapegrad_shape wrong = {2, {IMAGES, 16}}, right = {4, {IMAGES, 4, 4, 1}};
  tapegrad_shape shape;
  float output[4];
  expect(tapegrad_run(net, NULL, &right, output, 4, NULL) == TAPEGRAD_FAILED, "NULL must be refused", net);
  expect(tapegrad_run(net, images, &wrong, output, 4, NULL) == TAPEGRAD_FAILED, "two axes must be refused", net);
  expect(strstr(tapegrad_last_error(net), "tapegrad_run") != NULL, "an error must name its function", net);
  expect(tapegrad_run(net, images, &right, output, 4, &shape) == TAPEGRAD_TOO_SMALL, "4 elements are too few", net);
  expect(shape.rank == 2 && shape.sizes[0] == IMAGES && shape.sizes[1] == CLASSES, "the shape must be told", net);
  expect(tapegrad_load_weights(net, "/no/such/file") == TAPEGRAD_FAILED, "there is no such file", net);
  expect(tapegrad_add_flatten(NULL) == TAPEGRAD_FAILED, "no net must be refused", NULL);
}

int main(int count, char** arguments) {
  const char* path = count > 1 ? arguments[1] : "tapegrad_c.safetensors";
  static float images[IMAGES * 16], first_result[IMAGES * CLASSES], second_result[IMAGES * CLASSES];
  static int32_t labels[IMAGES];
  const tapegrad_shape shape = {4, {IMAGES, 4, 4, 1}}, labels_shape = {1, {IMAGES}};
  draw(images, labels);

  tapegrad_net* net = tapegrad_net_new(1);
  add_layers(net);
  expect(tapegrad_set_threads(net, 2) == TAPEGRAD_OK, "two threads", net);
  tapegrad_adam_options adam = tapegrad_adam_default();
  adam.learning_rate = 1e-2;
  expect(tapegrad_use_adam(net, &adam) == TAPEGRAD_OK, "Adam was refused", net);
  double first = 0, last = 0;
  for (int step = 0; step < 50; ++step) {
    const int status = tapegrad_train_cross_entropy(net, images, &shape, labels, &labels_shape, &last);
    expect(status == TAPEGRAD_OK, "a step failed", net);
    if (step == 0) first = last;
  }
  printf("loss %g -> %g\n", first, last);
  expect(isfinite(first) && last < 0.2 * first, "the loss must fall", net);
  be_wrong(net, images);

  tapegrad_net* loaded = tapegrad_net_new(2);
  add_layers(loaded);
  expect(tapegrad_save_weights(net, path) == TAPEGRAD_OK, "weights must be saved", net);
  expect(tapegrad_load_weights(loaded, path) == TAPEGRAD_OK, "weights must be loaded", loaded);
  remove(path);
  const size_t capacity = IMAGES * CLASSES;
  expect(tapegrad_run(net, images, &shape, first_result, capacity, NULL) == TAPEGRAD_OK, "the first net", net);
  expect(tapegrad_run(loaded, images, &shape, second_result, capacity, NULL) == TAPEGRAD_OK, "the second net", loaded);
  expect(memcmp(first_result, second_result, sizeof first_result) == 0, "both must give the same bits", loaded);
  double go_on = 0, gone_on = 1;
  expect(tapegrad_use_adam(loaded, &adam) == TAPEGRAD_OK, "Adam was refused", loaded);
  expect(tapegrad_save_training(net, path) == TAPEGRAD_OK, "the training must be saved", net);
  expect(tapegrad_load_training(loaded, path) == TAPEGRAD_OK, "the training must be loaded", loaded);
  remove(path);
  for (int step = 0; step < 2; ++step) {
    expect(tapegrad_train_cross_entropy(net, images, &shape, labels, &labels_shape, &go_on) == TAPEGRAD_OK, "a step", net);
    expect(tapegrad_train_cross_entropy(loaded, images, &shape, labels, &labels_shape, &gone_on) == TAPEGRAD_OK, "a step", loaded);
  }
  expect(go_on == gone_on, "a training that was loaded must go on with the same bits", loaded);
  tapegrad_net_free(loaded);
  tapegrad_net_free(net);
  tapegrad_release_memory();
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
