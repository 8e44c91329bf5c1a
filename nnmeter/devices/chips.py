"""Chips that people ask for: other names, the products that have them, and what decides their speed.

A row of the table: name; other names; year; the fastest CPU core and its GHz; graphics and accelerators; products. `-`
where there is none, or where it does not matter. A number behind graphics is TFLOPS in float32, behind an accelerator
its size against others of its line. Names are matched without case, blanks and hyphens. Cores are those of Arm where a
maker sells them under a name of its own (Kryo 485 is Cortex-A76). The order of generations is in `GENERATIONS`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple


class Chip(NamedTuple):
    """A chip, or a graphics card.

    Attributes:
        name: what its maker calls it.
        aliases: other names.
        year: in which products had it first.
        core: its fastest CPU core.
        ghz: clock of that core, 0 where it is not stated.
        gpu: its graphics.
        products: phones, boards and computers that have it.
    """

    name: str
    aliases: tuple[str, ...]
    year: int
    core: str
    ghz: float
    gpu: str
    products: tuple[str, ...]

    @property
    def words(self) -> str:
        """What it is, in a line: `Tensor G2: Cortex-X1 2.85 GHz, Mali-G710`."""
        parts = [f"{self.core} {self.ghz:g} GHz" if self.ghz else self.core]
        parts += [part for part in self.gpu.split() if not part.replace(".", "").isdigit()]
        told = ", ".join(part for part in parts if part)
        return f"{self.name}: {told}" if told and told != self.name else self.name


# Lines of descent: cores and graphics of one line run the same code, more or less fast. Those side by side in
# parentheses are of one generation.
GENERATIONS: tuple[str, ...] = (
    "Cortex-A5 Cortex-A7 Cortex-A53 Cortex-A55 Cortex-A510 Cortex-A520",
    "Cortex-A9 (Cortex-A15 Cortex-A17) Cortex-A57 Cortex-A72 Cortex-A73 Cortex-A75 (Cortex-A76 Neoverse-N1) Cortex-A77 "
    "(Cortex-A78 Cortex-A78AE) (Cortex-X1 Neoverse-V1) (Cortex-X2 Cortex-A710 Neoverse-N2) (Cortex-X3 Cortex-A715 "
    "Neoverse-V2) (Cortex-X4 Cortex-A720) (Cortex-X925 Cortex-A725 Neoverse-V3)",
    "Exynos-M4 Exynos-M5",
    "Denver2 Carmel",
    "Cyclone Typhoon Twister Hurricane Monsoon Vortex Lightning Firestorm Avalanche Everest A17-P M4-P",
    "Oryon Oryon-2 Oryon-3",
    "(C906 U74) (C910 X60)",
    "Silvermont Goldmont Tremont Gracemont",
    "Sandy-Bridge Ivy-Bridge Haswell Broadwell (Skylake Coffee-Lake Comet-Lake) Cascade-Lake (Ice-Lake Tiger-Lake) "
    "(Sapphire-Rapids Alder-Lake Raptor-Lake) (Granite-Rapids Arrow-Lake)",
    "Zen Zen-2 Zen-3 Zen-4 Zen-5",
    "Adreno-306 Adreno-430 (Adreno-530 Adreno-506) (Adreno-540 Adreno-509 Adreno-512) (Adreno-630 Adreno-616 "
    "Adreno-612) (Adreno-640 Adreno-618) (Adreno-650 Adreno-620 Adreno-619) (Adreno-660 Adreno-642L Adreno-643) "
    "Adreno-730 (Adreno-740 Adreno-722) (Adreno-750 Adreno-X1) Adreno-830 Adreno-840",
    "Mali-450 Mali-T760 (Mali-T860 Mali-T830) Mali-G71 (Mali-G72 Mali-G31 Mali-G51) (Mali-G76 Mali-G52) (Mali-G77 "
    "Mali-G57) Mali-G78 (Mali-G710 Mali-G610) Mali-G715 Mali-G720 Mali-G925",
    "VideoCore-IV VideoCore-VI VideoCore-VII",
    "PowerVR-G6430 PowerVR-GT7600",
    "PowerVR-GE8320 PowerVR-BXE PowerVR-BXM PowerVR-DXT",
    "Apple-A11 Apple-A12 Apple-A13 (Apple-A14 Apple-M1) (Apple-A15 Apple-M2) Apple-A16 (Apple-A17 Apple-M3) (Apple-A18 "
    "Apple-M4)",
    "Xclipse-920 Xclipse-940",
    "Maxwell Pascal Volta Turing Ampere Ada Hopper Blackwell",
    "GCN Vega RDNA RDNA2 RDNA3",
    "(Gen9 UHD-630) (Gen11 UHD-N5105) (Xe UHD-770)",
    "Hailo-8 Hailo-15 Hailo-10",
    "Ethos-U55 Ethos-U65 Ethos-U85",
    "RV1109-NPU RK1808-NPU (RK3566-NPU RK3562-NPU) (RK3588-NPU RK3576-NPU)",
    "DRP-AI DRP-AI3",
    "Sunrise-3 Sunrise-5",
    "AX615 AX620 AX630 AX637 AX650",
    "BM1684 BM1684X (BM1688 CV186X)",
    "DPU-Zynq DPU-Versal",
)

_TABLE = """
Snapdragon 410 | sd410 msm8916 | 2014 | Cortex-A53 1.2 | Adreno-306 | -
Snapdragon 625 | sd625 msm8953 | 2016 | Cortex-A53 2.0 | Adreno-506 | Xiaomi Redmi Note 4, Moto G5 Plus
Snapdragon 636 | sd636 sdm636 | 2017 | Cortex-A73 1.8 | Adreno-509 | Xiaomi Redmi Note 5
Snapdragon 660 | sd660 sdm660 | 2017 | Cortex-A73 2.2 | Adreno-512 | Xiaomi Mi A2
Snapdragon 675 | sd675 sm6150 | 2018 | Cortex-A76 2.0 | Adreno-612 | Xiaomi Redmi Note 7 Pro
Snapdragon 695 | sd695 sm6375 | 2021 | Cortex-A78 2.2 | Adreno-619 | -
Snapdragon 710 | sd710 sdm710 | 2018 | Cortex-A75 2.2 | Adreno-616 | Xiaomi Mi 8 SE, mi8se
Snapdragon 765G | sd765g sd765 sm7250 | 2020 | Cortex-A76 2.4 | Adreno-620 | Google Pixel 5, Google Pixel 4a 5G
Snapdragon 730G | sd730g sd730 sm7150 | 2019 | Cortex-A76 2.2 | Adreno-618 | Google Pixel 4a
Snapdragon 778G | sd778g sm7325 | 2021 | Cortex-A78 2.4 | Adreno-642L | Samsung Galaxy A52s
Snapdragon 7 Gen 4 | sd7gen4 | 2025 | Cortex-A720 2.8 | Adreno-722 | -
Snapdragon 810 | sd810 msm8994 | 2015 | Cortex-A57 2.0 | Adreno-430 | Google Nexus 6P
Snapdragon 821 | sd821 msm8996 | 2016 | Kryo 2.35 | Adreno-530 | Google Pixel 1, OnePlus 3T
Snapdragon 835 | sd835 msm8998 | 2017 | Cortex-A73 2.45 | Adreno-540 | Google Pixel 2, OnePlus 5, Xiaomi Mi 6
Snapdragon 845 | sd845 sdm845 | 2018 | Cortex-A75 2.8 | Adreno-630 | Google Pixel 3, OnePlus 6, Xiaomi Mi 8
Snapdragon 855+ | sd855plus sm8150ac | 2019 | Cortex-A76 2.96 | Adreno-640 | OnePlus 7T
Snapdragon 855 | sd855 sm8150 | 2019 | Cortex-A76 2.84 | Adreno-640 | Google Pixel 4, OnePlus 7, Xiaomi Mi 9
Snapdragon 865 | sd865 sm8250 qrb5165 | 2020 | Cortex-A77 2.84 | Adreno-650 | OnePlus 8, Xiaomi Mi 10, Qualcomm RB5
Snapdragon 870 | sd870 | 2021 | Cortex-A77 3.2 | Adreno-650 | OnePlus 9R
Snapdragon 888 | sd888 sm8350 | 2021 | Cortex-X1 2.84 | Adreno-660 | OnePlus 9, Xiaomi Mi 11
Snapdragon 8 Gen 1 | sd8gen1 sm8450 qcs8450 | 2022 | Cortex-X2 3.0 | Adreno-730 | Samsung Galaxy S22, OnePlus 10
Snapdragon 8 Gen 2 | sd8gen2 sm8550 qcs8550 | 2023 | Cortex-X3 3.2 | Adreno-740 | Samsung Galaxy S23, OnePlus 11
Snapdragon 8 Gen 3 | sd8gen3 sm8650 | 2024 | Cortex-X4 3.3 | Adreno-750 | Samsung Galaxy S24, OnePlus 12
Snapdragon 8 Elite Gen 5 | sd8elitegen5 | 2025 | Oryon-3 4.6 | Adreno-840 | -
Snapdragon 8 Elite | sd8elite sm8750 | 2024 | Oryon-2 4.32 | Adreno-830 | Samsung Galaxy S25, OnePlus 13
Snapdragon X Elite | x1e78100 x1e80100 | 2024 | Oryon 3.4 | Adreno-X1 | Microsoft Surface Laptop 7
QCS6490 | rb3gen2 | 2021 | Cortex-A78 2.7 | Adreno-643 | Qualcomm RB3 Gen 2, Fairphone 5
QRB2210 | - | 2022 | Cortex-A53 2.0 | - | Arduino UNO Q
Tensor G1 | gs101 googletensor | 2021 | Cortex-X1 2.8 | Mali-G78 | Google Pixel 6
Tensor G2 | gs201 | 2022 | Cortex-X1 2.85 | Mali-G710 | Google Pixel 7, Google Pixel Fold
Tensor G3 | - | 2023 | Cortex-X3 2.91 | Mali-G715 | Google Pixel 8
Tensor G4 | - | 2024 | Cortex-X4 3.1 | Mali-G715 | Google Pixel 9
Tensor G5 | - | 2025 | Cortex-X4 3.78 | PowerVR-DXT | Google Pixel 10
Exynos 9820 | - | 2019 | Exynos-M4 2.7 | Mali-G76 | Samsung Galaxy S10, s10
Exynos 990 | - | 2020 | Exynos-M5 2.73 | Mali-G77 | Samsung Galaxy S20
Exynos 2100 | - | 2021 | Cortex-X1 2.9 | Mali-G78 | Samsung Galaxy S21
Exynos 2200 | - | 2022 | Cortex-X2 2.8 | Xclipse-920 | -
Exynos 2400 | - | 2024 | Cortex-X4 3.2 | Xclipse-940 | -
Kirin 960 | hikey960 | 2016 | Cortex-A73 2.36 | Mali-G71 | Huawei Mate 9, HiKey 960
Kirin 970 | - | 2017 | Cortex-A73 2.36 | Mali-G72 | Huawei Mate 10, Huawei P20
Kirin 980 | - | 2018 | Cortex-A76 2.6 | Mali-G76 | Huawei Mate 20, Huawei P30
Kirin 990 | - | 2019 | Cortex-A76 2.86 | Mali-G76 | Huawei Mate 30, Huawei P40
Kirin 9000 | - | 2020 | Cortex-A77 3.13 | Mali-G78 | Huawei Mate 40
Helio P35 | mt6765 | 2018 | Cortex-A53 2.3 | PowerVR-GE8320 | Samsung Galaxy A03s, a03s
Helio G99 | mt6789 | 2022 | Cortex-A76 2.2 | Mali-G57 | -
Dimensity 1200 | mt6893 | 2021 | Cortex-A78 3.0 | Mali-G77 | OnePlus Nord 2
Dimensity 9000 | mt6983 | 2022 | Cortex-X2 3.05 | Mali-G710 | -
Dimensity 9200 | mt6985 | 2022 | Cortex-X3 3.05 | Mali-G715 | Vivo X90
Dimensity 9300 | mt6989 | 2023 | Cortex-X4 3.25 | Mali-G720 | Vivo X100
Dimensity 9400 | mt6991 | 2024 | Cortex-X925 3.62 | Mali-G925 | Vivo X200
Apple A7 | - | 2013 | Cyclone 1.3 | PowerVR-G6430 | iPhone 5s
Apple A10 Fusion | applea10 | 2016 | Hurricane 2.34 | PowerVR-GT7600 | iPhone 7
Apple A11 Bionic | applea11 | 2017 | Monsoon 2.39 | Apple-A11 | iPhone 8, iPhone X
Apple A12 Bionic | applea12 a12bionic | 2018 | Vortex 2.49 | Apple-A12 | iPhone XS, iPhone XR
Apple A13 Bionic | applea13 | 2019 | Lightning 2.65 | Apple-A13 | iPhone 11, iPhone SE 2
Apple A14 Bionic | applea14 | 2020 | Firestorm 3.0 | Apple-A14 | iPhone 12
Apple A15 Bionic | applea15 | 2021 | Avalanche 3.23 | Apple-A15 | iPhone 13, iPhone 14
Apple A16 Bionic | applea16 | 2022 | Everest 3.46 | Apple-A16 | iPhone 14 Pro, iPhone 15
Apple A17 Pro | applea17 | 2023 | A17-P 3.78 | Apple-A17 | iPhone 15 Pro
Apple A18 | applea18 | 2024 | M4-P 4.04 | Apple-A18 | iPhone 16
Apple M1 Pro | m1pro | 2021 | Firestorm 3.2 | Apple-M1 | MacBook Pro M1 Pro
Apple M1 | macbookm1 | 2020 | Firestorm 3.2 | Apple-M1 | MacBook Pro M1, MacBook Air M1, Mac mini M1
Apple M2 | macbookm2 | 2022 | Avalanche 3.5 | Apple-M2 | MacBook Pro M2, MacBook Air M2
Apple M3 | macbookm3 | 2023 | A17-P 4.05 | Apple-M3 | MacBook Pro M3, MacBook Air M3
Apple M4 | macbookm4 | 2024 | M4-P 4.4 | Apple-M4 | MacBook Pro M4, MacBook Air M4, iPad Pro M4
BCM2836 | rpi2b | 2015 | Cortex-A7 0.9 | VideoCore-IV | Raspberry Pi 2
BCM2837B0 | rpi3bplus | 2018 | Cortex-A53 1.4 | VideoCore-IV | Raspberry Pi 3 Model B+
BCM2837 | rpi3b | 2016 | Cortex-A53 1.2 | VideoCore-IV | Raspberry Pi 3
BCM2710A1 | rpizero2w | 2021 | Cortex-A53 1.0 | VideoCore-IV | Raspberry Pi Zero 2 W
BCM2711 | rpi4 | 2019 | Cortex-A72 1.8 | VideoCore-VI | Raspberry Pi 4, Raspberry Pi 400, Raspberry Pi Compute Module 4
BCM2712 | rpi5 | 2023 | Cortex-A76 2.4 | VideoCore-VII | Raspberry Pi 5, Raspberry Pi 500
RK3288 | - | 2014 | Cortex-A17 1.8 | Mali-T760 | Asus Tinker Board
RK3328 | - | 2017 | Cortex-A53 1.3 | Mali-450 | Pine64 Rock64, NanoPi R2S
RK3399 | - | 2016 | Cortex-A72 1.8 | Mali-T860 | RockPro64, Rock Pi 4, NanoPi M4, Orange Pi 4, Firefly RK3399
RK3562 | - | 2023 | Cortex-A53 2.0 | RK3562-NPU Mali-G52 | -
RK3566 | radxazero3w orangepicm4 | 2020 | Cortex-A55 1.8 | RK3566-NPU Mali-G52 | Orange Pi CM4, Radxa Zero 3W, Quartz64
RK3568 | rock3a | 2020 | Cortex-A55 2.0 | RK3566-NPU Mali-G52 | Rock 3A, NanoPi R5S
RK3576 | - | 2024 | Cortex-A72 2.2 | RK3576-NPU Mali-G52 | Radxa Rock 4D
RK3588 | rk3588s | 2022 | Cortex-A76 2.4 | RK3588-NPU Mali-G610 | Orange Pi 5, Rock 5B, Rock 5A, NanoPC T6
RV1126 | - | 2020 | Cortex-A7 1.5 | RK1808-NPU | -
RV1109 | - | 2020 | Cortex-A7 1.5 | RV1109-NPU | -
RK1808 | - | 2019 | Cortex-A35 1.6 | RK1808-NPU | -
Amlogic S805 | - | 2014 | Cortex-A5 1.5 | Mali-450 | Odroid C1
Amlogic S905X3 | - | 2019 | Cortex-A55 1.9 | Mali-G31 | Odroid C4, Khadas VIM3L
Amlogic S922X | - | 2019 | Cortex-A73 2.2 | Mali-G52 | Odroid N2
Amlogic A311D | khadasvim3 | 2019 | Cortex-A73 2.2 | Mali-G52 | Khadas VIM3
Allwinner H2+ | bananapim2zero | 2017 | Cortex-A7 1.2 | - | Banana Pi M2 Zero
Allwinner H616 | - | 2020 | Cortex-A53 1.5 | Mali-G31 | Orange Pi Zero 2
Allwinner T527 | avaotat527 | 2023 | Cortex-A55 2.2 | Mali-G57 | Avaota A1
Jetson Nano | jetsonnano2gb tegrax1 tx1 | 2019 | Cortex-A57 1.43 | Maxwell 0.47 | NVIDIA Jetson Nano, Nintendo Switch
Jetson TX2 | jetsontx2nx tegrax2 | 2017 | Denver2 2.0 | Pascal 0.67 | NVIDIA Jetson TX2
Jetson Xavier NX | - | 2020 | Carmel 1.9 | Volta 0.84 | NVIDIA Jetson Xavier NX
Jetson AGX Xavier | - | 2018 | Carmel 2.27 | Volta 1.4 | NVIDIA Jetson AGX Xavier
Jetson Orin Nano | - | 2023 | Cortex-A78AE 1.5 | Ampere 1.3 | NVIDIA Jetson Orin Nano
Jetson Orin NX | - | 2023 | Cortex-A78AE 2.0 | Ampere 1.9 | NVIDIA Jetson Orin NX
Jetson AGX Orin | - | 2022 | Cortex-A78AE 2.2 | Ampere 5.3 | NVIDIA Jetson AGX Orin
Jetson AGX Thor | jetsonthor | 2025 | Neoverse-V3 2.6 | Blackwell 7.8 | NVIDIA Jetson AGX Thor
i.MX 7Dual | imx7dual | 2015 | Cortex-A7 1.0 | - | -
i.MX 8M Plus | imx8mplus | 2021 | Cortex-A53 1.8 | VIP8000 | NXP i.MX 8M Plus EVK
i.MX 8M Mini | imx8mmini | 2019 | Cortex-A53 1.8 | - | -
i.MX 93 | imx93 | 2023 | Cortex-A55 1.7 | Ethos-U65 | -
RZ/V2L | rzv2l | 2021 | Cortex-A55 1.2 | DRP-AI | -
RZ/V2M | rzv2m rzv2ma | 2020 | Cortex-A53 1.0 | DRP-AI | -
RZ/V2H | rzv2h | 2024 | Cortex-A55 1.8 | DRP-AI3 | Renesas Kakip
RZ/G2L | rzg2l remipi | 2021 | Cortex-A55 1.2 | - | MYIR RemiPi
TH1520 | - | 2022 | C910 1.85 | PowerVR-BXM | Sipeed LicheePi 4A
JH7110 | - | 2022 | U74 1.5 | PowerVR-BXE | VisionFive 2, Milk-V Mars
SpacemiT M1 | spacemitk1 spacemitm1 | 2024 | X60 1.8 | PowerVR-BXE | Muse Pi Pro, Banana Pi BPI-F3
SG2000 | cvitek | 2023 | C906 1.0 | - | Milk-V Duo S
CIX P1 | radxaorion | 2025 | Cortex-A720 2.6 | Mali-G720 | Radxa Orion O6
Hailo-8L | hailo8l | 2023 | - | Hailo-8 0.5 | Raspberry Pi AI Kit, Raspberry Pi AI HAT+ 13 TOPS
Hailo-8 | hailo8 | 2020 | - | Hailo-8 1 | Raspberry Pi AI HAT+ 26 TOPS
Hailo-10H | hailo10h | 2024 | - | Hailo-10 | Raspberry Pi AI HAT+ 2
Hailo-15H | hailo15h | 2023 | - | Hailo-15 | -
Myriad X | ncs2 myriadvpu mustangv100 | 2018 | - | Myriad-X | Intel Neural Compute Stick 2
Sunrise 3 | rdkx3 | 2022 | Cortex-A53 1.5 | Sunrise-3 | D-Robotics RDK X3
Sunrise 5 | rdkx5 | 2024 | Cortex-A55 1.5 | Sunrise-5 | D-Robotics RDK X5
AX615 | ax615 | 2024 | - | AX615 | -
AX620A | ax620q | 2021 | Cortex-A7 1.0 | AX620 | -
AX630C | ax630c | 2023 | Cortex-A53 1.2 | AX630 | Sipeed MaixCAM2, M5Stack LLM
AX637 | ax637 | 2025 | - | AX637 | -
AX650N | ax650n | 2023 | Cortex-A55 1.7 | AX650 | Sipeed Maix4
BM1684X | - | 2021 | - | BM1684X | Radxa AIRbox
BM1684 | - | 2019 | - | BM1684 | -
BM1688 | - | 2024 | Cortex-A53 1.6 | BM1688 | -
CV186X | cv186x | 2024 | Cortex-A53 1.6 | CV186X | -
Zynq UltraScale+ ZU9EG | zcu102 | 2016 | Cortex-A53 1.2 | DPU-Zynq 3 | ZCU102
Zynq UltraScale+ ZU7EV | zcu104 | 2018 | Cortex-A53 1.2 | DPU-Zynq 2 | ZCU104
Zynq UltraScale+ ZU3EG | ultra96 | 2018 | Cortex-A53 1.5 | DPU-Zynq 1 | Ultra96
Kria K26 | kv260 | 2021 | Cortex-A53 1.3 | DPU-Zynq 1 | Kria KV260
Versal VC1902 | vck190 | 2021 | Cortex-A72 1.4 | DPU-Versal 2 | VCK190
Versal VE2802 | vek280 | 2023 | Cortex-A72 1.4 | DPU-Versal 3 | VEK280
GTX 1050 Ti | gtx1050ti | 2016 | - | Pascal 2.1 | -
GTX 1060 | - | 2016 | - | Pascal 4.4 | -
GTX 1070 | - | 2016 | - | Pascal 6.5 | -
GTX 1080 Ti | gtx1080ti | 2017 | - | Pascal 11.3 | -
GTX 1080 | - | 2016 | - | Pascal 8.9 | -
Titan X (Maxwell) | titanxmaxwell | 2015 | - | Maxwell 6.7 | -
Titan X (Pascal) | titanxpascal | 2016 | - | Pascal 11.0 | -
Titan Xp | - | 2017 | - | Pascal 12.1 | -
Titan V | - | 2017 | - | Volta 14.9 | -
Titan RTX | - | 2018 | - | Turing 16.3 | -
Quadro RTX 8000 | - | 2018 | - | Turing 16.3 | -
RTX 2060 | rtx2060laptop | 2019 | - | Turing 6.5 | -
RTX 2070 | - | 2018 | - | Turing 7.5 | -
RTX 2080 Ti | - | 2018 | - | Turing 13.4 | -
RTX 2080 | - | 2018 | - | Turing 10.1 | -
GTX 1660 | - | 2019 | - | Turing 5.0 | -
RTX 3060 Ti | - | 2020 | - | Ampere 16.2 | -
RTX 3060 | - | 2021 | - | Ampere 12.7 | -
RTX 3070 | - | 2020 | - | Ampere 20.3 | -
RTX 3080 | - | 2020 | - | Ampere 29.8 | -
RTX 3090 | - | 2020 | - | Ampere 35.6 | -
RTX A3000 | - | 2021 | - | Ampere 12.8 | -
RTX A5000 | - | 2021 | - | Ampere 27.8 | -
RTX A6000 | - | 2020 | - | Ampere 38.7 | -
RTX 4060 | - | 2023 | - | Ada 15.1 | -
RTX 4070 | - | 2023 | - | Ada 29.1 | -
RTX 4080 | - | 2022 | - | Ada 48.7 | -
RTX 4090 | - | 2022 | - | Ada 82.6 | -
RTX 5070 | - | 2025 | - | Blackwell 30.9 | -
RTX 5080 | - | 2025 | - | Blackwell 56.3 | -
RTX 5090 | - | 2025 | - | Blackwell 104.8 | -
RTX PRO 6000 | rtxpro6000 | 2025 | - | Blackwell 110 | -
NVIDIA P100 | teslap100 | 2016 | - | Pascal 9.3 | -
NVIDIA V100 | v100 teslav100 | 2017 | - | Volta 14.0 | AWS p3
NVIDIA T4 | teslat4 | 2018 | - | Turing 8.1 | AWS g4dn
NVIDIA A10 | - | 2021 | - | Ampere 31.2 | AWS g5
NVIDIA A100 | a100 | 2020 | - | Ampere 19.5 | AWS p4d
NVIDIA L4 | - | 2023 | - | Ada 30.3 | AWS g6
NVIDIA L40S | - | 2023 | - | Ada 91.6 | -
NVIDIA H100 | h100 | 2022 | - | Hopper 67 | AWS p5
NVIDIA H200 | h200 | 2024 | - | Hopper 67 | -
NVIDIA B200 | - | 2024 | - | Blackwell 75 | -
RX 6900 XT | - | 2020 | - | RDNA2 23.0 | -
RX 7900 XTX | - | 2022 | - | RDNA3 61.4 | -
Ryzen V1605B | - | 2018 | Zen 3.6 | Vega 1.4 | -
Ryzen 9 5950X | - | 2020 | Zen-3 4.9 | - | -
Ryzen 9 7950X | - | 2022 | Zen-4 5.7 | - | -
Ryzen 9 9950X | - | 2024 | Zen-5 5.7 | - | -
EPYC Rome | epyc7742 epyc7r32 | 2019 | Zen-2 3.3 | - | AWS c5a
EPYC Milan | epyc7763 epyc7r13 | 2021 | Zen-3 3.5 | - | AWS c6a
EPYC Genoa | epyc9r14 epyc9654 | 2022 | Zen-4 3.7 | - | AWS c7a
EPYC Turin | epyc9r45 | 2024 | Zen-5 4.5 | - | -
Xeon Haswell | xeone52650v3 xeone52630v3 | 2014 | Haswell 3.0 | - | -
Xeon Skylake | xeongold6148 xeongold5117 xeongold6133 | 2017 | Skylake 3.5 | - | AWS c5
Xeon Cascade Lake | xeonplatinum8270 xeonplatinum8275cl xeongold5218t xeonsilver4216r | 2019 | Cascade-Lake 3.6 | - | -
Xeon Ice Lake | xeonicelake xeonplatinum8380 xeonsilver4316 | 2021 | Ice-Lake 3.5 | - | AWS c6i
Xeon Sapphire Rapids | - | 2023 | Sapphire-Rapids 3.8 | - | AWS c7i
Graviton 1 | a12xlarge | 2018 | Cortex-A72 2.3 | - | AWS a1
Graviton 2 | - | 2020 | Neoverse-N1 2.5 | - | AWS c6g, AWS m6g
Graviton 3 | m7g2xlarge | 2022 | Neoverse-V1 2.6 | - | AWS c7g, AWS m7g
Graviton 4 | - | 2024 | Neoverse-V2 2.8 | - | AWS c8g
Ampere Altra | t2a azureneoversen1 | 2020 | Neoverse-N1 3.0 | - | Google Cloud t2a
Core i7-8700 | i78700t i58500 i38100 | 2018 | Coffee-Lake 4.6 | UHD-630 | -
Core i9-10900 | i910900te i510500te | 2020 | Comet-Lake 5.2 | UHD-630 | -
Core i9-10920X | i910940x | 2019 | Cascade-Lake 4.6 | - | -
Core i7-1185G7 | celeron6305e | 2020 | Tiger-Lake 4.8 | Xe 2.1 | -
Core i9-12900 | i712700h | 2021 | Alder-Lake 5.1 | UHD-770 | -
Core i7-13700K | - | 2022 | Raptor-Lake 5.4 | UHD-770 | -
"""


@lru_cache(maxsize=1)
def known_chips() -> tuple[Chip, ...]:
    """All rows of the table."""
    return tuple(_read(line) for line in _TABLE.strip().split("\n"))


def plain(text: str) -> str:
    """A text without case, blanks and signs: how names are compared."""
    return re.sub(r"[^a-z0-9+]", "", text.lower())


@lru_cache(maxsize=1)
def places() -> dict[str, tuple[int, int]]:
    """Line of descent and generation of every core and every graphics unit."""
    found = {}
    for line, text in enumerate(GENERATIONS):
        for generation, members in enumerate(re.findall(r"\([^)]*\)|\S+", text)):
            for name in members.strip("()").split():
                found[name] = line, generation
    return found


def _read(line: str) -> Chip:
    name, aliases, year, core, gpu, products = (cell.strip() for cell in line.split("|"))
    core_name, _, ghz = core.partition(" ")
    return Chip(
        name,
        tuple(a for a in aliases.split() if a != "-"),
        int(year),
        "" if core_name == "-" else core_name,
        float(ghz or 0),
        "" if gpu == "-" else gpu,
        tuple(p.strip() for p in products.split(",") if p.strip() != "-"),
    )
