//! Configs to doors, doors to configs, and every message in between.
