"""The profiles: sets of definitions under a name."""

from fuse2task.runtime.errors import RequestError
from fusion.quality.definitions import Profile
from fusion.quality.profiles import cddfuse, ivif_zoo, liu, standard, tang, vifb

PROFILES: dict[str, Profile] = {
    module.PROFILE.name: module.PROFILE for module in (standard, vifb, tang, cddfuse, ivif_zoo, liu)
}


def find_profile(name: str) -> Profile:
    """The profile called `name`.

    Raises:
        RequestError: there is none; the message names all.
    """
    if name not in PROFILES:
        raise RequestError(f"no profile {name!r}; there are {', '.join(PROFILES)}")
    return PROFILES[name]
