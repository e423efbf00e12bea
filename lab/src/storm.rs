//! Many packets, while honest knocks go on.
