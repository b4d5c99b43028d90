"""Multimodal Block Push: the simulation, the published oracle, its picture and its published figures."""

from pathlib import Path

from vdd_ros import resources
from vdd_ros.tasks.block_push.demonstrator import demonstrate, demonstrate_part, demonstrate_undisturbed
from vdd_ros.tasks.block_push.sim import MODE_NAMES, SPEC, BlockPushSim, draw_contexts, goal_share
from vdd_ros.tasks.chunk_preset import chunked_mlp
from vdd_ros.tasks.scene import Scene
from vdd_ros.tasks.task import Published, Task


def _scene() -> Scene:
    from vdd_ros.tasks.block_push.scene import SCENE

    return SCENE


def _robot_file() -> Path:
    return resources.path("config/robots/block_push.yaml")


TASK = Task(
    spec=SPEC,
    make_sim=BlockPushSim,
    demonstrate=demonstrate,
    default_demonstrations=1000,
    scene=_scene,
    robot_file=_robot_file,
    contexts=draw_contexts,
    test_contexts=60,
    demonstrate_part=demonstrate_part,
    published={  # of VDD's paper, all with GPT backbones and with goals
        "ddpm": Published(0.96),
        "beso": Published(0.96),
        "ddpm-1": Published(0.09),
        "beso-1": Published(0.94),
        "cd": Published(0.89, 0.05),
        "ctm": Published(0.89, 0.04),
        "em": Published(0.88),
        "imc": Published(0.89),
        "vdd-ddpm": Published(0.93, 0.03),
        "vdd-beso": Published(0.91, 0.03),
    },
    published_note="the published policies know their goal, ours do not",
    mode_names=MODE_NAMES,
    goal_share=goal_share,
    styles={"oracle": demonstrate_undisturbed},
    presets={  # the pin is thin: with the usual noise the teacher succeeds in 0.37 of its rollouts, with this in 0.47
        "mlp": chunked_mlp(teacher_steps=20_000, vdd_steps=4_000, mixture_steps=4_000, observation_noise=0.005)
    },
    default_preset="mlp",
)
