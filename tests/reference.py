"""Slow NumPy transcriptions of the paper's equations, in its own orientation: what the library is checked against.

One example at a time, no batch axis; a memory here has one COLUMN a slot, shape (k, l), as the products of Eqs. 3, 4
and 7 need it. Every sum that matters is a loop.
"""

import math

import numpy as np


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def lstm(weights, x, hidden, cell):
    """One LSTM step (the f^LSTM of Eqs. 2, 5, 6, 9), entry by entry; gates in the order of `nn.LSTMCell`."""
    dim = len(hidden)
    before = np.zeros(4 * dim)
    for row in range(4 * dim):
        before[row] = weights["bias_ih"][row] + weights["bias_hh"][row]
        for column in range(len(x)):
            before[row] += weights["weight_ih"][row, column] * x[column]
        for column in range(dim):
            before[row] += weights["weight_hh"][row, column] * hidden[column]
    new_hidden, new_cell = np.zeros(dim), np.zeros(dim)
    for d in range(dim):
        i, f, o = sigmoid(before[d]), sigmoid(before[dim + d]), sigmoid(before[3 * dim + d])
        new_cell[d] = f * cell[d] + i * math.tanh(before[2 * dim + d])
        new_hidden[d] = o * math.tanh(new_cell[d])
    return new_hidden, new_cell


def address(query, memory):
    """Eq. 3: z = softmax(q^T M)."""
    k, num_slots = memory.shape
    scores = [sum(query[d] * memory[d, slot] for d in range(k)) for slot in range(num_slots)]
    powers = [math.exp(score - max(scores)) for score in scores]
    return np.array([power / sum(powers) for power in powers])


def read(weights, memory):
    """Eq. 4: m-bar = z M^T."""
    k, num_slots = memory.shape
    return np.array([sum(weights[slot] * memory[d, slot] for slot in range(num_slots)) for d in range(k)])


def write(memory, weights, write_vector):
    """Eq. 7: M (I - z (x) e_k)^T + (m' (x) e_l)(z (x) e_k)^T, the products being entry by entry."""
    k, num_slots = memory.shape
    ones_k, ones_l = np.ones(k), np.ones(num_slots)
    addressed = np.outer(weights, ones_k).T
    return memory * (np.ones((k, num_slots)) - addressed) + np.outer(write_vector, ones_l) * addressed


def memory_step(weights, x, memory, states):
    """Eqs. 2-7 in order.

    Args:
        weights: of the controllers "input", "output" and "write".
        x: features.
        memory: shape (k, l).
        states: (hidden, cell) of each controller.

    Returns:
        q, z, m, m', the new memory and the new states.
    """
    q, q_cell = lstm(weights["input"], x, *states["input"])  # Eq. 2
    z = address(q, memory)  # Eq. 3
    read_vector = read(z, memory)  # Eq. 4
    m, m_cell = lstm(weights["output"], read_vector, *states["output"])  # Eq. 5
    written, written_cell = lstm(weights["write"], m, *states["write"])  # Eq. 6
    memory = write(memory, z, written)  # Eq. 7
    states = {"input": (q, q_cell), "output": (m, m_cell), "write": (written, written_cell)}
    return q, z, m, written, memory, states


def decode(weight, bias, memory_output):
    """Eq. 8 with a linear f^D."""
    return np.array(
        [bias[c] + sum(weight[c, d] * memory_output[d] for d in range(len(memory_output))) for c in range(len(bias))]
    )


def predict_gradient(weights, head_weight, head_bias, activation, target, hidden, cell):
    """Eq. 9: an LSTM on [a ; y] and a linear head."""
    hidden, cell = lstm(weights, np.concatenate([activation, target]), hidden, cell)
    return decode(head_weight, head_bias, hidden), hidden, cell


def controller_jacobian(weights, name, x, hidden, cell, width=1e-6):
    """The dq/dtheta of Eq. 10 for one parameter by central differences, shape (k, *parameter)."""
    parameter = weights[name]
    jacobian = np.zeros((len(hidden), *parameter.shape))
    for index in np.ndindex(*parameter.shape):
        outputs = []
        for sign in (1, -1):
            moved = parameter.copy()
            moved[index] += sign * width
            outputs.append(lstm({**weights, name: moved}, x, hidden, cell)[0])
        jacobian[(slice(None), *index)] = (outputs[0] - outputs[1]) / (2 * width)
    return jacobian


def updated_parameter(weights, name, x, hidden, cell, synthetic_grad, alpha):
    """Eq. 10: theta - alpha SG(q, y) dq/dtheta, for one parameter of a controller."""
    jacobian = controller_jacobian(weights, name, x, hidden, cell)
    direction = sum(synthetic_grad[d] * jacobian[d] for d in range(len(hidden)))
    return weights[name] - alpha * direction


def predictor_loss(synthetic_grad, true_grad):
    """Eq. 11: the squared L2 distance."""
    return sum((synthetic_grad[d] - true_grad[d]) ** 2 for d in range(len(true_grad)))
