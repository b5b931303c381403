"""Augments training images, a whole batch at a time."""

from __future__ import annotations

import tensorflow as tf


def crop_and_flip(images: tf.Tensor, seed: tf.Tensor, pad: int = 4) -> tf.Tensor:
    """Moves each image by up to `pad` pixels each way, and mirrors it left to right with probability 1/2.

    The standard augmentation for CIFAR: pad with black, crop to the old size at a random place, flip. C.-Y.
    Lee, S. Xie, P. Gallagher, Z. Zhang, Z. Tu, "Deeply-supervised nets", AISTATS 2015, as in K. He, X. Zhang,
    S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2.

    Args:
      images: `[batch, height, width, channels]`, of any dtype in which 0 is black.
      seed: two integers; the outcome is a pure function of them and the images.
      pad: black pixels put around each side before the crop.

    Returns:
      Images of the same shape and dtype. All positions are equally likely, and each image has its own.
    """
    shape = tf.shape(images)
    one_each, height, width = tf.stack([shape[0], 1]), shape[1], shape[2]
    for_rows, for_columns, for_flips = tf.unstack(tf.random.split(seed, 3))

    def start(seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform(one_each, seed, maxval=2 * pad + 1, dtype=tf.int32)

    flipped = tf.random.stateless_uniform(one_each, for_flips, maxval=2, dtype=tf.int32) == 1
    rows = start(for_rows) + tf.range(height)
    # The flip costs nothing: it is the order in which columns are read.
    columns = start(for_columns) + tf.where(flipped, tf.range(width)[::-1], tf.range(width))
    padded = tf.pad(images, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
    cropped = tf.gather(tf.gather(padded, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
    return tf.ensure_shape(cropped, images.shape)
