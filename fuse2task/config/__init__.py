"""Recipes: YAML files checked by pydantic models."""

from fuse2task.config.recipes import Recipe, configs_folder, load_recipe, shipped_recipes

__all__ = ["Recipe", "configs_folder", "load_recipe", "shipped_recipes"]
