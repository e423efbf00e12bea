//! One-time files: marking a used line so that no crash lets it open twice (S12).
