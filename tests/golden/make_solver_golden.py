"""Writes solvers.json: whole trajectories of diffusers' DPMSolverMultistep, EulerDiscrete, EulerAncestralDiscrete and
FlowMatchEulerDiscrete schedulers for a fixed map in place of the network.

usage: make_solver_golden.py [OUT]

latent(0) is the scheduler's initial deviation times cos(0.9 i), the map o_i = tanh(1.3 x_i + 0.4) of the scaled model
input x, and the noise of step k sin(1.3 k + 0.7 i + 1), for i = 0..4. Everything is in double, but for the schedulers'
own level tables and the steps of a flow, which are in single precision.
"""
import json
import os
import sys
import warnings

import diffusers
import torch
from diffusers.schedulers import (scheduling_dpmsolver_multistep, scheduling_euler_ancestral_discrete,
                                  scheduling_euler_discrete)

warnings.filterwarnings("ignore")
diffusers.logging.set_verbosity(diffusers.logging.CRITICAL)
BETAS = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
DPM, EULER, ANCESTRAL = "DPMSolverMultistepScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler"
FLOW = "FlowMatchEulerDiscreteScheduler"
LEVELS = ({}, dict(use_karras_sigmas=True), dict(use_exponential_sigmas=True), dict(use_beta_sigmas=True))
SPACINGS = ("leading", "trailing", "linspace")
PREDICTIONS = ("epsilon", "v_prediction", "sample")


def cases():
    count = 0
    for solver in ("midpoint", "heun"):
        for algorithm in ("dpmsolver++", "sde-dpmsolver++"):
            for prediction in PREDICTIONS:
                for steps in (1, 2, 3, 7, 16):
                    count += 1
                    yield DPM, steps, dict(BETAS, solver_type=solver, algorithm_type=algorithm,
                                           prediction_type=prediction, timestep_spacing=SPACINGS[count % 3],
                                           steps_offset=count % 2, **LEVELS[count % 4],
                                           final_sigmas_type=("zero", "sigma_min")[count % 4 == 0])
    for more in (dict(), dict(solver_order=1), dict(euler_at_final=True), dict(lower_order_final=False),
                 dict(final_sigmas_type="sigma_min"), dict(final_sigmas_type="sigma_min", euler_at_final=True),
                 dict(final_sigmas_type="sigma_min", lower_order_final=False), dict(solver_type="bh2"),
                 dict(final_sigmas_type="sigma_min", use_karras_sigmas=True),  # a last step between equal levels
                 dict(thresholding=True, sample_max_value=1.5),
                 dict(algorithm_type="deis", final_sigmas_type="sigma_min")):
        for steps in (6, 16):
            yield DPM, steps, dict(BETAS, **more)
    yield DPM, 10, dict(BETAS, prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing")
    yield DPM, 8, dict(num_train_timesteps=500, beta_schedule="squaredcos_cap_v2", lambda_min_clipped=-5.1)
    yield DPM, 8, dict(num_train_timesteps=500, beta_schedule="squaredcos_cap_v2", lambda_min_clipped=-5.1,
                       timestep_spacing="leading", use_karras_sigmas=True)
    for levels in LEVELS:
        for prediction in PREDICTIONS:
            for steps in (1, 2, 9):
                count += 1
                yield EULER, steps, dict(BETAS, prediction_type=prediction, timestep_spacing=SPACINGS[count % 3],
                                         steps_offset=count % 2, **levels,
                                         final_sigmas_type=("zero", "sigma_min")[count % 2])
    yield EULER, 6, dict(BETAS, use_karras_sigmas=True, sigma_min=0.05, sigma_max=10.0)
    yield EULER, 6, dict(BETAS, interpolation_type="log_linear")
    yield EULER, 6, dict(BETAS, prediction_type="v_prediction", rescale_betas_zero_snr=True,
                         timestep_spacing="trailing")
    for prediction in PREDICTIONS[:2]:
        for spacing in SPACINGS:
            for steps in (1, 2, 9):
                yield ANCESTRAL, steps, dict(BETAS, prediction_type=prediction, timestep_spacing=spacing,
                                             steps_offset=1)


def flow_cases():
    """Also what is told to set_timesteps(): even levels, as FLUX's pipeline passes them, or none; mu if dynamic."""
    for steps in (1, 2, 5, 20):
        even = dict(sigmas=[(steps - k) / steps for k in range(steps)])
        for told in ({}, even):
            for shift in (1.0, 3.0, 0.6):
                yield FLOW, steps, dict(num_train_timesteps=1000, shift=shift), told
            for mu in (0.9, -0.4):
                yield FLOW, steps, dict(num_train_timesteps=1000, use_dynamic_shifting=True), dict(told, mu=mu)
    yield FLOW, 4, dict(num_train_timesteps=500, shift=3.0), {}


def trajectory(name, steps, config, told):
    scheduler = getattr(diffusers, name)(**config)
    scheduler.set_timesteps(steps, **told)
    scheduler.set_begin_index(0)  # else a timestep that comes twice is looked up wrongly
    i = torch.arange(5, dtype=torch.float64)
    noise = []
    for module in (scheduling_dpmsolver_multistep, scheduling_euler_discrete, scheduling_euler_ancestral_discrete):
        module.randn_tensor = lambda *_, **__: noise[0]
    x = (0.9 * i).cos().reshape(1, 5, 1, 1) * float(getattr(scheduler, "init_noise_sigma", 1.0))
    out = [x.flatten().tolist()]
    for k, t in enumerate(scheduler.timesteps):
        noise[:] = [(1.3 * k + 0.7 * i + 1).sin().reshape(1, 5, 1, 1)]
        seen = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        o = (1.3 * seen + 0.4).tanh()
        more = dict(variance_noise=noise[0]) if "sde" in config.get("algorithm_type", "") else {}
        x = scheduler.step(o, t, x, **more).prev_sample.double()
        out.append(x.flatten().tolist())
    short = lambda row: [float(f"{value:.9g}") for value in row]
    more = dict(told=told) if name == FLOW else {}
    return dict(config=dict(config, _class_name=name), steps=steps, **more,
                timesteps=short(scheduler.timesteps.tolist()), sigmas=short(scheduler.sigmas.tolist()),
                trajectory=[short(row) for row in out])


if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "solvers.json")
    files = []
    for name, steps, config, told in [(*case, {}) for case in cases()] + list(flow_cases()):
        case = trajectory(name, steps, config, told)
        assert all(torch.isfinite(torch.tensor(row)).all() for row in case["trajectory"]), (name, steps, config)
        files.append(case)
    with open(path, "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c) for c in files) + "\n]\n")
