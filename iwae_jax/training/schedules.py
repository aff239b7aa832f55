"""Optimisers by name: the paper's long schedule, and a short one."""

import optax


def paper_optimizer(*, steps_per_pass: int) -> optax.GradientTransformation:
    r"""Adam with the schedule of the importance-weighted autoencoder: 3280 passes.

    .. math:: 3^i \text{ passes at } 10^{-3} \cdot 10^{-i/7}, \quad i = 0, \dots, 7

    Args:
      steps_per_pass: updates in one pass over the data; the paper's batch is 20.

    Returns:
      The optimiser, of a loss that is minimised.

    Raises:
      ValueError: `steps_per_pass` is not positive.

    Example:
      >>> from iwae_jax import training
      >>> optimizer = training.paper_optimizer(steps_per_pass=3000)
      >>> training.PAPER_PASSES
      3280

    References:
      Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, section 5,
      arXiv:1509.00519.
    """
    if steps_per_pass < 1:
        raise ValueError(f"steps_per_pass must be at least 1; got {steps_per_pass}.")
    ends = [steps_per_pass * (3 ** (stage + 1) - 1) // 2 for stage in range(7)]
    rates = [optax.constant_schedule(1e-3 * 10 ** (-stage / 7)) for stage in range(8)]
    return optax.adam(optax.join_schedules(rates, ends), eps=1e-4)


PAPER_PASSES = sum(3**stage for stage in range(8))


def short_optimizer(
    *, num_steps: int, learning_rate: float = 3e-3, warmup_steps: int = 0
) -> optax.GradientTransformation:
    r"""Adam whose learning rate rises linearly, then falls to zero along half a cosine.

    Args:
      num_steps: updates in the whole training.
      learning_rate: the highest rate, at the end of the rise.
      warmup_steps: updates of the rise; 0 starts at the highest rate.

    Returns:
      The optimiser, of a loss that is minimised.

    Raises:
      ValueError: `num_steps` or `learning_rate` is not positive, or the rise is longer than all.

    Example:
      >>> from iwae_jax import training
      >>> optimizer = training.short_optimizer(num_steps=36_000)

    References:
      Loshchilov and Hutter (2017), SGDR: Stochastic Gradient Descent with Warm Restarts, eq. 5,
      arXiv:1608.03983.
    """
    if num_steps < 1 or learning_rate <= 0.0 or not 0 <= warmup_steps < num_steps:
        raise ValueError(
            "num_steps and learning_rate must be positive and warmup_steps from 0 to num_steps - 1;"
            f" got num_steps={num_steps}, learning_rate={learning_rate}, "
            f"warmup_steps={warmup_steps}."
        )
    rise = optax.linear_schedule(learning_rate / (warmup_steps + 1), learning_rate, warmup_steps)
    fall = optax.cosine_decay_schedule(learning_rate, num_steps - warmup_steps)
    return optax.adam(optax.join_schedules([rise, fall], [warmup_steps]), eps=1e-4)
