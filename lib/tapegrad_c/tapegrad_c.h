#ifndef TAPEGRAD_C_H
#define TAPEGRAD_C_H

/* tapegrad for C, and for every language that calls C: a network is built layer by layer, trained and run on the caller's
   buffers, saved and loaded.

     tapegrad_net* net = tapegrad_net_new(1);
     tapegrad_dense_options dense = tapegrad_dense_default();
     dense.in_features = 2;
     dense.units = 1;
     if (tapegrad_add_dense(net, &dense) != TAPEGRAD_OK) puts(tapegrad_last_error(net));
     tapegrad_net_free(net);

   Each function that can fail returns a status, TAPEGRAD_OK (0) if it did what it is for. The net keeps the text of its last
   error. So a program may call one function after the other, and look at what they returned; a NULL for the net is an error
   like others, not a crash. A call that fails leaves the weights, the layers and the options as they were. No exception
   leaves a function.

   Nets share nothing: several threads may use one each at the same time, but a net is used by one thread at a time. The
   threads that a net computes with end with the thread that called it (see tapegrad_set_threads). Results are the same bits
   for any number of threads, and the same as those of the C++ library.

   Options start from tapegrad_..._default(), whose values the fields' comments say. Structs grow with versions: a program that
   was compiled for 0.x.y runs with 0.x.z, not with another x. */

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(TAPEGRAD_C_EXPORTS) /* the library itself, as a DLL */
#define TAPEGRAD_C_API __declspec(dllexport)
#elif defined(__GNUC__) && !defined(_WIN32)
#define TAPEGRAD_C_API __attribute__((visibility("default")))
#else
#define TAPEGRAD_C_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What functions return. */
enum {
  TAPEGRAD_OK = 0,
  TAPEGRAD_FAILED = 1,   /* an argument, a file or memory: tapegrad_last_error() says what */
  TAPEGRAD_TOO_SMALL = 2 /* the caller's buffer is too small for the result, whose shape was written */
};

/* The sizes of an array's axes; arrays are contiguous and row-major. Of images: batch, height, width, channels. */
enum { TAPEGRAD_MAX_RANK = 8 };
typedef struct tapegrad_shape {
  int32_t rank; /* the number of axes, 0 to TAPEGRAD_MAX_RANK */
  int64_t sizes[TAPEGRAD_MAX_RANK];
} tapegrad_shape;

/* A network, its optimizer, its random numbers, and its last error. */
typedef struct tapegrad_net tapegrad_net;

/* 10000 major + 100 minor + patch, of the library that is loaded. */
TAPEGRAD_C_API int32_t tapegrad_version(void);

/* A net without layers; the seed decides about its initial weights. NULL if there is no memory. */
TAPEGRAD_C_API tapegrad_net* tapegrad_net_new(uint64_t seed);
/* Ends the net; does nothing for NULL. */
TAPEGRAD_C_API void tapegrad_net_free(tapegrad_net* net);

/* What the net's last call that failed has to say, beginning with the function's name; "" if none has failed. The text is
   the net's, and lasts until another call for it fails. Never NULL, also for NULL. */
TAPEGRAD_C_API const char* tapegrad_last_error(const tapegrad_net* net);

/* The number of threads that calls for this net use, 1 to 1024; 0, the default: all CPUs that the process may use. */
TAPEGRAD_C_API int tapegrad_set_threads(tapegrad_net* net, int32_t threads);

/* Returns memory that the calling thread and its workers keep for reuse to the system. */
TAPEGRAD_C_API void tapegrad_release_memory(void);

/* Layers, in the order in which they compute. All must be there before the optimizer is chosen. */

/* What a layer applies to its result. */
enum {
  TAPEGRAD_NO_ACTIVATION = 0,
  TAPEGRAD_RELU = 1,
  TAPEGRAD_LEAKY_RELU = 2, /* slope 0.01 */
  TAPEGRAD_ELU = 3,
  TAPEGRAD_SELU = 4,
  TAPEGRAD_GELU = 5,
  TAPEGRAD_SILU = 6,
  TAPEGRAD_SIGMOID = 7,
  TAPEGRAD_SOFTPLUS = 8,
  TAPEGRAD_TANH = 9,
  TAPEGRAD_SOFTMAX = 10 /* along the last axis */
};

/* Pixels around an image. */
enum {
  TAPEGRAD_VALID = 0, /* none */
  TAPEGRAD_SAME = 1   /* as many as give the result ceil(size / stride) pixels, as in TensorFlow */
};

/* [..., in_features] -> [..., units]: activation(x kernel + bias). */
typedef struct tapegrad_dense_options {
  int64_t in_features; /* must be given */
  int64_t units;       /* must be given */
  int32_t activation;  /* TAPEGRAD_NO_ACTIVATION */
  int32_t use_bias;    /* 1; 0 for none */
} tapegrad_dense_options;
TAPEGRAD_C_API tapegrad_dense_options tapegrad_dense_default(void);
TAPEGRAD_C_API int tapegrad_add_dense(tapegrad_net* net, const tapegrad_dense_options* options);

/* [n, h, w, in_channels] -> [n, height, width, filters]. Pairs are of the height and of the width. */
typedef struct tapegrad_conv2d_options {
  int64_t in_channels;    /* must be given */
  int64_t filters;        /* must be given */
  int64_t kernel_size[2]; /* must be given */
  int64_t strides[2];     /* {1, 1} */
  int64_t dilations[2];   /* {1, 1} */
  int64_t groups;         /* 1 */
  int32_t padding;        /* TAPEGRAD_VALID */
  int32_t activation;     /* TAPEGRAD_NO_ACTIVATION */
  int32_t use_bias;       /* 1; 0 for none */
} tapegrad_conv2d_options;
TAPEGRAD_C_API tapegrad_conv2d_options tapegrad_conv2d_default(void);
TAPEGRAD_C_API int tapegrad_add_conv2d(tapegrad_net* net, const tapegrad_conv2d_options* options);

/* The transpose of a convolution with these options, from its result's size to the size of its input: with
   TAPEGRAD_SAME, strides times as high and wide. */
TAPEGRAD_C_API int tapegrad_add_conv2d_transpose(tapegrad_net* net, const tapegrad_conv2d_options* options);

/* The largest pixel of each window of each channel. */
typedef struct tapegrad_max_pool2d_options {
  int64_t pool_size[2]; /* {2, 2} */
  int64_t strides[2];   /* {0, 0}: pool_size */
  int32_t padding;      /* TAPEGRAD_VALID */
} tapegrad_max_pool2d_options;
TAPEGRAD_C_API tapegrad_max_pool2d_options tapegrad_max_pool2d_default(void);
TAPEGRAD_C_API int tapegrad_add_max_pool2d(tapegrad_net* net, const tapegrad_max_pool2d_options* options);

/* Normalizes each channel, the last axis: by the batch while the net is trained, by moving averages when it is run. */
typedef struct tapegrad_batch_norm_options {
  int64_t channels; /* must be given */
  double momentum;  /* 0.99: moving = momentum moving + (1 - momentum) batch */
  double epsilon;   /* 1e-3: added to the variance */
} tapegrad_batch_norm_options;
TAPEGRAD_C_API tapegrad_batch_norm_options tapegrad_batch_norm_default(void);
TAPEGRAD_C_API int tapegrad_add_batch_norm(tapegrad_net* net, const tapegrad_batch_norm_options* options);

/* An activation as a layer of its own. */
TAPEGRAD_C_API int tapegrad_add_activation(tapegrad_net* net, int32_t activation);
/* While the net is trained, sets elements to 0 with this probability, 0 <= rate < 1. */
TAPEGRAD_C_API int tapegrad_add_dropout(tapegrad_net* net, double rate);
/* [n, ...] -> [n, product of the rest] */
TAPEGRAD_C_API int tapegrad_add_flatten(tapegrad_net* net);
/* [n, ...] -> [n, sample...], where one size may be -1: what is left. */
TAPEGRAD_C_API int tapegrad_add_reshape(tapegrad_net* net, const tapegrad_shape* sample);

/* Weights, as safetensors files; paths are UTF-8. Names of tensors are "0.kernel", "0.bias": the layer's number (each call
   of tapegrad_add_... adds one) and what the C++ layer calls it: "kernel" and "bias"; of a batch norm "gamma", "beta",
   "moving_mean" and "moving_variance". */

/* Replaces an earlier file only when the new one is complete. */
TAPEGRAD_C_API int tapegrad_save_weights(tapegrad_net* net, const char* path);
/* Reads what tapegrad_save_weights() or the C++ library's write_safetensors() wrote for a net with the same layers. */
TAPEGRAD_C_API int tapegrad_load_weights(tapegrad_net* net, const char* path);
/* Reads the weights of a torch.nn.Sequential with the same layers, and gives filters and matrices the layout of here. */
TAPEGRAD_C_API int tapegrad_load_pytorch_weights(tapegrad_net* net, const char* path);

/* Writes the number of all elements of the weights that are trained to *count. */
TAPEGRAD_C_API int tapegrad_parameter_count(tapegrad_net* net, int64_t* count);
/* Writes the elements of the tensor of this name to the output, as tapegrad_run() writes a result. */
TAPEGRAD_C_API int tapegrad_get_tensor(tapegrad_net* net, const char* name, float* output, size_t capacity,
                                       tapegrad_shape* output_shape);
/* Replaces the elements of the tensor of this name; the shape must be the tensor's. */
TAPEGRAD_C_API int tapegrad_set_tensor(tapegrad_net* net, const char* name, const float* values,
                                       const tapegrad_shape* values_shape);

/* Writes what the net makes of the input to the output, and its shape to output_shape, unless that is NULL. The output has
   room for `capacity` elements; if it needs more, nothing but the shape is written, and the call returns TAPEGRAD_TOO_SMALL.
   NULL with capacity 0 asks for the shape. The output may overlap the input. */
TAPEGRAD_C_API int tapegrad_run(tapegrad_net* net, const float* input, const tapegrad_shape* input_shape,
                                float* output, size_t capacity, tapegrad_shape* output_shape);

/* Optimizers. A choice replaces an earlier one, and its running averages. */

typedef struct tapegrad_adam_options {
  double learning_rate; /* 1e-3 */
  double beta1;         /* 0.9: decay of the mean of gradients, 0 <= beta1 < 1 */
  double beta2;         /* 0.999: decay of the mean of their squares, 0 <= beta2 < 1 */
  double epsilon;       /* 1e-8: added to the divisor */
  double weight_decay;  /* 0: factor of the L2 penalty */
} tapegrad_adam_options;
TAPEGRAD_C_API tapegrad_adam_options tapegrad_adam_default(void);
TAPEGRAD_C_API int tapegrad_use_adam(tapegrad_net* net, const tapegrad_adam_options* options);

typedef struct tapegrad_sgd_options {
  double learning_rate; /* 1e-2 */
  double momentum;      /* 0: decay of the velocity, 0 <= momentum < 1 */
  double weight_decay;  /* 0: factor of the L2 penalty */
  int32_t nesterov;     /* 0; 1 for Nesterov's momentum */
} tapegrad_sgd_options;
TAPEGRAD_C_API tapegrad_sgd_options tapegrad_sgd_default(void);
TAPEGRAD_C_API int tapegrad_use_sgd(tapegrad_net* net, const tapegrad_sgd_options* options);

/* The optimizer's learning rate from now on: for schedules. */
TAPEGRAD_C_API int tapegrad_set_learning_rate(tapegrad_net* net, double learning_rate);

/* Weights and optimizer, with its running averages, number of steps and learning rate, in one file with a checksum: a run that
   is stopped and loaded again goes on with the same bits. For both, an optimizer must have been chosen. */

/* Replaces an earlier file only when the new one is complete. */
TAPEGRAD_C_API int tapegrad_save_training(tapegrad_net* net, const char* path);
/* Reads what tapegrad_save_training() wrote for a net with the same layers and the same kind of optimizer. */
TAPEGRAD_C_API int tapegrad_load_training(tapegrad_net* net, const char* path);

/* One step of the optimizer on a batch: the loss before the step goes to *loss, unless that is NULL. If the step fails, so
   that no weight changes, layers in front of what failed may have seen the batch: a batch norm's moving averages, a dropout's
   random numbers. */

/* The mean of (result - target)^2; the target has the result's shape. */
TAPEGRAD_C_API int tapegrad_train_mse(tapegrad_net* net, const float* input,
                                      const tapegrad_shape* input_shape, const float* target,
                                      const tapegrad_shape* target_shape, double* loss);
/* The mean of -log softmax(result)[label]; the result is [..., classes], the labels are [...], each 0 to classes - 1. */
TAPEGRAD_C_API int tapegrad_train_cross_entropy(tapegrad_net* net, const float* input,
                                                const tapegrad_shape* input_shape, const int32_t* labels,
                                                const tapegrad_shape* labels_shape, double* loss);

#ifdef __cplusplus
}
#endif

#endif
