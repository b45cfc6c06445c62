//! A pinhole camera: from the pen's metres to the picture, and back along a ray.

use glam::{Vec2, Vec3};

/// A camera that does not move.
///
/// Pictures have x to the right and y down, from -1 to 1 and from -1/aspect to 1/aspect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Camera {
    pub(crate) at: Vec3,
    pub(crate) right: Vec3,
    pub(crate) down: Vec3,
    pub(crate) forward: Vec3,
    /// Picture units of one metre at a distance of one metre.
    pub(crate) focal: f32,
}

impl Camera {
    /// A camera at `at` that is turned and zoomed until its picture holds all `points`,
    /// with `room` around them (1 is none).
    pub(crate) fn on(at: Vec3, points: &[Vec3], aspect: f32, tilt: f32, room: f32) -> Camera {
        let middle: Vec3 = points.iter().sum::<Vec3>() / points.len().max(1) as f32;
        let mut camera = Camera::towards(at, middle, tilt);
        // Each turn halves what is more on one side than on the other.
        for _ in 0..24 {
            let seen = points.iter().map(|point| camera.plane(*point));
            let (low, high) = seen.fold((Vec2::MAX, Vec2::MIN), |(low, high), point| {
                (low.min(point), high.max(point))
            });
            let off = (low + high) * 0.5;
            let aim = at + camera.forward + (camera.right * off.x + camera.down * off.y) * 0.7;
            camera = Camera::towards(at, aim, tilt);
        }
        let widest = points.iter().map(|point| camera.plane(*point).abs());
        let reach = widest.map(|point| point.x.max(point.y * aspect)).fold(0.01, f32::max);
        Camera { focal: 1.0 / (reach * room), ..camera }
    }

    fn towards(at: Vec3, aim: Vec3, tilt: f32) -> Camera {
        let forward = (aim - at).normalize_or(Vec3::Y);
        let level = forward.cross(Vec3::Z).normalize_or(Vec3::X);
        let (sin, cos) = (libm::sinf(tilt), libm::cosf(tilt));
        let over = level.cross(forward);
        let right = level * cos + over * sin;
        Camera { at, right, down: forward.cross(right), forward, focal: 1.0 }
    }

    /// Where a point is on the plane one metre ahead.
    fn plane(&self, point: Vec3) -> Vec2 {
        let from = point - self.at;
        let depth = from.dot(self.forward).max(0.05);
        Vec2::new(from.dot(self.right), from.dot(self.down)) / depth
    }

    /// Where in the picture a point is, and how far ahead; `None` behind the camera.
    pub(crate) fn project(&self, point: Vec3) -> Option<(Vec2, f32)> {
        let from = point - self.at;
        let depth = from.dot(self.forward);
        let seen = Vec2::new(from.dot(self.right), from.dot(self.down));
        (0.05 < depth).then(|| (seen * (self.focal / depth), depth))
    }

    /// The way that is seen at a place of the picture: one metre ahead.
    pub(crate) fn ray(&self, place: Vec2) -> Vec3 {
        self.forward + (self.right * place.x + self.down * place.y) / self.focal
    }
}
