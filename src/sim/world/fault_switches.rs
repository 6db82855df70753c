//! Breaking and healing, from outside the world.

use failoverd_domain::ids::{Region, ServiceName};

use super::faults::Service;
use super::{SimulatedAws, World};

impl World {
    /// Whether a URL or address in a Region belongs to a service whose endpoints there are set bad: one whose name is a
    /// label of the host or a segment of the path.
    #[must_use]
    pub fn endpoint_is_bad(&self, region: &Region, target: &str) -> bool {
        let mut words = target.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        words.any(|word| self.bad_endpoints.contains(&(region.clone(), ServiceName::from(word))))
    }
}

impl SimulatedAws {
    /// Changes what is broken and lets what follows from it begin now, not when somebody next looks.
    fn switch<T>(&self, act: impl FnOnce(&mut World) -> T) {
        self.with(|world| {
            act(world);
            world.advance(world.now());
        });
    }

    /// The role of the daemon in a Region loses an action, or gets it back: `rds:FailoverGlobalCluster`.
    pub fn deny(&self, caller: &Region, action: &str, denied: bool) {
        self.switch(|world| {
            let key = (caller.clone(), action.to_owned());
            if denied { world.faults.denied_actions.insert(key) } else { world.faults.denied_actions.remove(&key) }
        });
    }

    /// Nobody may assume that role any more, or everybody again.
    pub fn close_role(&self, role_arn: &str, closed: bool) {
        self.switch(|world| {
            let roles = &mut world.faults.closed_roles;
            if closed { roles.insert(role_arn.to_owned()) } else { roles.remove(role_arn) }
        });
    }

    /// The Region dies: its endpoints, stores and Regional APIs. Route 53's API goes on even when it is us-east-1.
    pub fn break_region(&self, region: &Region) {
        self.switch(|world| world.faults.down.insert(region.clone()));
    }

    /// The Region comes back.
    pub fn heal_region(&self, region: &Region) {
        self.switch(|world| world.faults.down.remove(region));
    }

    /// Whether the Region is up.
    #[must_use]
    pub fn is_up(&self, region: &Region) -> bool {
        self.with(|world| world.faults.is_up(region))
    }

    /// Whether clients and Route 53's checkers reach the Region's endpoints.
    #[must_use]
    pub fn is_reachable_from_outside(&self, region: &Region) -> bool {
        self.with(|world| world.faults.is_reachable_from_outside(region))
    }

    /// The Region's control planes go away; data planes go on.
    pub fn break_control_plane(&self, region: &Region) {
        self.switch(|world| world.faults.control_down.insert(region.clone()));
    }

    /// They come back.
    pub fn heal_control_plane(&self, region: &Region) {
        self.switch(|world| world.faults.control_down.remove(region));
    }

    /// One service of a Region goes away, both planes.
    pub fn break_service(&self, region: &Region, service: Service) {
        self.switch(|world| world.faults.service_down.insert((region.clone(), service)));
    }

    /// It comes back.
    pub fn heal_service(&self, region: &Region, service: Service) {
        self.switch(|world| world.faults.service_down.remove(&(region.clone(), service)));
    }

    /// Route 53's API goes away; its DNS and its checkers go on.
    pub fn break_route53_api(&self) {
        self.switch(|world| world.faults.route53_api_down = true);
    }

    /// It comes back.
    pub fn heal_route53_api(&self) {
        self.switch(|world| world.faults.route53_api_down = false);
    }

    /// The next `count` change batches are refused with `PriorRequestNotComplete`, as if an earlier one were under way.
    pub fn hold_up_changes(&self, count: u32) {
        self.switch(|world| world.faults.prior_requests = count);
    }

    /// Calls to the service take so much longer; 0 ends it.
    pub fn slow(&self, region: &Region, service: Service, added_ms: u64) {
        self.switch(|world| world.faults.slow_ms.insert((region.clone(), service), added_ms));
    }

    /// Whether every call to the service is throttled.
    pub fn throttle(&self, region: &Region, service: Service, on: bool) {
        let at = (region.clone(), service);
        self.switch(|world| if on { world.faults.throttled.insert(at) } else { world.faults.throttled.remove(&at) });
    }

    /// How many calls were throttled so far: whoever tries again counts again.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.with(|world| world.faults.turned_away.get())
    }

    /// The next `count` mutating calls take effect, but their answers are lost.
    pub fn lose_next_answers(&self, region: &Region, service: Service, count: u32) {
        self.switch(|world| world.faults.lost_answers.insert((region.clone(), service), count));
    }

    /// Whether the credentials of the daemon in that Region are expired.
    pub fn expire_credentials(&self, caller: &Region, expired: bool) {
        self.switch(|world| match expired {
            true => world.faults.expired.insert(caller.clone()),
            false => world.faults.expired.remove(caller),
        });
    }

    /// The network from a caller's Region to another Region stops carrying calls, probes and replication.
    pub fn cut(&self, caller: &Region, region: &Region) {
        self.switch(|world| world.faults.cuts.insert((caller.clone(), region.clone())));
    }

    /// It carries them again.
    pub fn mend(&self, caller: &Region, region: &Region) {
        self.switch(|world| world.faults.cuts.remove(&(caller.clone(), region.clone())));
    }

    /// The Region lives on, but nothing outside reaches it and it reaches nothing outside.
    pub fn isolate(&self, region: &Region) {
        self.switch(|world| world.faults.isolated.insert(region.clone()));
    }

    /// The Region is part of the world again.
    pub fn rejoin(&self, region: &Region) {
        self.switch(|world| world.faults.isolated.remove(region));
    }

    /// Whether a caller's DNS questions get an answer.
    pub fn set_dns_reachable(&self, caller: &Region, reachable: bool) {
        self.switch(|world| match reachable {
            true => world.faults.without_dns.remove(caller),
            false => world.faults.without_dns.insert(caller.clone()),
        });
    }

    /// The name server that a caller asks has not heard of changes to a name, and goes on answering this; or it has.
    pub fn set_old_answer(&self, caller: &Region, name: &str, values: Option<&[&str]>) {
        let key = (caller.clone(), name.to_owned());
        self.switch(|world| match values {
            Some(values) => {
                let values = values.iter().map(|value| (*value).to_owned()).collect();
                world.faults.old_answers.insert(key, values)
            }
            None => world.faults.old_answers.remove(&key),
        });
    }

    /// Whether a service's endpoints in a Region answer as they should (while the Region is up). A probe belongs to the
    /// service when the service's name is a label of its host or a segment of its path.
    pub fn set_endpoint(&self, region: &Region, service: &ServiceName, up: bool) {
        let at = (region.clone(), service.clone());
        self.switch(|world| if up { world.bad_endpoints.remove(&at) } else { world.bad_endpoints.insert(at) });
    }

    /// Whether a service's endpoints in a Region answer: the Region is up, reachable, and the endpoint is well.
    #[must_use]
    pub fn endpoint_up(&self, region: &Region, service: &ServiceName) -> bool {
        self.with(|world| {
            world.faults.is_reachable_from_outside(region)
                && !world.bad_endpoints.contains(&(region.clone(), service.clone()))
        })
    }
}
