//! The services that are served, and how each is asked.

use super::answer::{Answer, Protocol};
use super::request::WireRequest;
use super::{cloudwatch, dynamodb, iam, rds, route53, s3, sts};
use crate::sim::world::{Plane, Refusal, Service, World};

/// A service on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Route53,
    Rds,
    Dynamodb,
    S3,
    Cloudwatch,
    Sts,
    Iam,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    /// AWS's name of it.
    pub(super) name: &'static str,
    pub(super) plane: Plane,
    /// Whether it changes something: then its answer can be lost.
    pub(super) mutates: bool,
}

impl Operation {
    pub(super) const fn read(name: &'static str) -> Self {
        Self { name, plane: Plane::Control, mutates: false }
    }

    pub(super) const fn change(name: &'static str) -> Self {
        Self { name, plane: Plane::Control, mutates: true }
    }

    pub(super) const fn on_data(self) -> Self {
        Self { plane: Plane::Data, ..self }
    }
}

impl Api {
    /// By the name that is signed for.
    pub(super) fn signed_as(service: &str) -> Option<Self> {
        Some(match service {
            "route53" => Self::Route53,
            "rds" => Self::Rds,
            "dynamodb" => Self::Dynamodb,
            "s3" => Self::S3,
            "monitoring" => Self::Cloudwatch,
            "sts" => Self::Sts,
            "iam" => Self::Iam,
            _ => return None,
        })
    }

    pub(super) const fn service(self) -> Service {
        match self {
            Self::Route53 => Service::Route53,
            Self::Rds => Service::Rds,
            Self::Dynamodb => Service::Dynamodb,
            Self::S3 => Service::S3,
            Self::Cloudwatch => Service::Cloudwatch,
            Self::Sts => Service::Sts,
            Self::Iam => Service::Iam,
        }
    }

    /// How this request is to be answered, errors included.
    pub(super) fn protocol(self, request: &WireRequest) -> Protocol {
        match self {
            Self::Route53 => Protocol::RestXml,
            Self::S3 => Protocol::S3,
            Self::Dynamodb => Protocol::Json,
            Self::Rds | Self::Sts | Self::Iam => Protocol::Query,
            // Each client has a way of its own to ask.
            Self::Cloudwatch if request.header("smithy-protocol").is_some() => Protocol::Cbor,
            Self::Cloudwatch if request.header("x-amz-target").is_some() => Protocol::Json,
            Self::Cloudwatch => Protocol::Query,
        }
    }

    /// What the request asks for; unknown operations are told by name.
    pub(super) fn operation(self, request: &WireRequest) -> Result<Operation, Refusal> {
        match self {
            Self::Route53 => route53::operation(request),
            Self::Rds => rds::operation(request),
            Self::Dynamodb => dynamodb::operation(request),
            Self::S3 => s3::operation(request),
            Self::Cloudwatch => cloudwatch::operation(request),
            Self::Sts => sts::operation(request),
            Self::Iam => iam::operation(request),
        }
    }

    /// Does it.
    pub(super) fn act(self, world: &mut World, request: &WireRequest, operation: Operation) -> Result<Answer, Refusal> {
        match self {
            Self::Route53 => route53::act(world, request, operation),
            Self::Rds => rds::act(world, request, operation),
            Self::Dynamodb => dynamodb::act(world, request, operation),
            Self::S3 => s3::act(world, request, operation),
            Self::Cloudwatch => cloudwatch::act(world, request, operation),
            Self::Sts => sts::act(world, request, operation),
            Self::Iam => iam::act(world, request, operation),
        }
    }
}
