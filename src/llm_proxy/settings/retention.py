"""The section ``retention``: what is deleted by itself, and when."""

from pydantic import Field

from llm_proxy.settings.section import Section
from llm_proxy.settings.values import Count, Days, Seconds


class OrganizationRetention(Section):
    """How long and how many records of one organisation are kept, where that is not as for all others."""

    max_age_days: Days | None = Field(default=None, description="Age at which its records are deleted")
    bodies_max_age_days: Days | None = Field(
        default=None, description="Age at which the bodies of its records are deleted"
    )
    max_bytes: Count | None = Field(
        default=None, description="Size of its records and their bodies beyond which its oldest records are deleted"
    )
    bodies_max_bytes: Count | None = Field(
        default=None, description="Size of its bodies beyond which the bodies of its oldest records are deleted"
    )

    @property
    def sets_ages(self) -> bool:
        """Whether its ages, which may be none, come in place of the general ones: not if it has nothing but sizes."""
        has_sizes = (self.max_bytes, self.bodies_max_bytes) != (None, None)
        return (self.max_age_days, self.bodies_max_age_days) != (None, None) or not has_sizes


class Retention(Section):
    """What is deleted by itself, and when. Without limits, nothing is."""

    max_age_days: Days | None = Field(
        default=None, description="Age at which records are deleted, with all that belongs to them"
    )
    bodies_max_age_days: Days | None = Field(
        default=None, description="Age at which the bodies of records are deleted; who, when and how much stays"
    )
    max_bytes: Count | None = Field(
        default=None, description="Size of the store beyond which its oldest records are deleted"
    )
    bodies_max_bytes: Count | None = Field(
        default=None, description="Size of the store beyond which the bodies of its oldest records are deleted"
    )
    interval_s: Seconds = Field(default=600.0, description="Time between two looks for what is to be deleted")
    organizations: dict[str, OrganizationRetention] = Field(default_factory=dict)
