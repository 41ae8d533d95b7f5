"""The subjects and styles the embedded model knows: one table, read by every build stage and by the measurements.

A subject is named by its Iconify key, the slug of its Unicode name (`red-apple`). Well-known things with shapes that
tell them apart were chosen; faces, symbols, flags and people were left out, because at 64 pixels they differ by a few
pixels only.
"""

ANIMALS = """
ant baby-chick bat bear beaver blowfish butterfly cat-face chicken cow-face crab crocodile deer dog-face dolphin dove
dragon duck eagle elephant fish flamingo fox frog giraffe goat gorilla hedgehog hippopotamus honeybee horse jellyfish
kangaroo koala lady-beetle lion lizard llama lobster monkey-face mouse-face octopus otter owl panda parrot peacock
penguin pig-face polar-bear rabbit-face raccoon rhinoceros rooster sauropod scorpion shark shrimp skunk sloth snail
snake spider spouting-whale squid swan t-rex tiger-face tropical-fish turkey turtle two-hump-camel unicorn wolf zebra
"""

FOOD = """
avocado bacon banana beer-mug bell-pepper birthday-cake bread broccoli brown-mushroom bubble-tea burrito candy carrot
cheese-wedge cherries coconut cookie croissant cucumber cupcake custard doughnut ear-of-corn eggplant french-fries
garlic grapes green-apple hamburger hot-beverage hot-dog hot-pepper kiwi-fruit lemon lollipop melon olive pancakes
peach peanuts pear pineapple pizza popcorn pretzel red-apple sandwich soft-ice-cream strawberry sushi taco tangerine
teapot tomato tropical-drink waffle watermelon wine-glass
"""

PLANTS_AND_SKY = """
cactus cherry-blossom crescent-moon deciduous-tree evergreen-tree fire four-leaf-clover hibiscus maple-leaf palm-tree
potted-plant rainbow rose snowflake star sun sunflower tulip volcano
"""

VEHICLES = """
airplane ambulance automobile bicycle bus fire-engine flying-saucer helicopter kick-scooter locomotive motor-scooter
motorcycle police-car racing-car rocket sailboat ship speedboat taxi tractor
"""

THINGS = """
alarm-clock alien-monster anchor artist-palette backpack balloon basketball bell bomb briefcase camera candle castle
church crown drum game-die gem-stone ghost guitar hammer headphone house jack-o-lantern key light-bulb magnet microscope
musical-keyboard pencil red-heart robot saxophone scissors skull snowman soccer-ball sunglasses t-shirt teddy-bear
telescope tent top-hat trophy trumpet umbrella violin watch wrapped-gift
"""

SUBJECTS: tuple[str, ...] = tuple(sorted((ANIMALS + FOOD + PLANTS_AND_SKY + VEHICLES + THINGS).split()))

STYLES: tuple[str, ...] = ("noto", "flat", "pencil")
"""`noto` is drawn unless the caption says "flat style" or "pencil style"; `pencil` is computed from the noto
artwork."""


def subject_name(slug: str) -> str:
    """Return the words a caption uses for a subject: `red-apple` -> `red apple`, `t-rex` stays."""
    return slug if slug in ("t-rex", "t-shirt", "jack-o-lantern") else slug.replace("-", " ")


def caption(slug: str, style: str = "noto", size: str = "", place: str = "") -> str:
    """Return the canonical caption, for example `small flat style red apple, top left`."""
    words = [size, "" if style == "noto" else f"{style} style", subject_name(slug)]
    return " ".join(word for word in words if word) + (f", {place}" if place else "")
