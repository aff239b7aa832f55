"""Numbers of the literature, beside which the experiments print their own."""

# Test NLL in nats by (data set, stochastic layers, K), after 3280 passes at batch 20.
# Burda, Grosse and Salakhutdinov (2016), arXiv:1509.00519, table 1; fixed binarisation: appendix D.
IWAE_NLL = {
    ("mnist", 1, 1): 86.76,
    ("mnist", 1, 5): 85.54,
    ("mnist", 1, 50): 84.78,
    ("mnist", 2, 1): 85.33,
    ("mnist", 2, 5): 83.89,
    ("mnist", 2, 50): 82.90,
    ("binarized_mnist", 1, 1): 88.71,
    ("binarized_mnist", 1, 5): 87.63,
    ("binarized_mnist", 1, 50): 87.10,
}

# Bits per pixel of MNIST under a multi-scale Real NVP, as Grathwohl et al. (2019) have it,
# arXiv:1810.01367, table 2.
REAL_NVP_BITS = 1.06
