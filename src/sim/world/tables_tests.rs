//! Tables as they change: one thing at a time, replicas with their items, three Regions that agree.

use failoverd_domain::data::store::{Consistency, ReplicaStatus, TableKind};
use failoverd_domain::ids::Region;

use super::test_ground::{euw1, pass, use1, usw2, world};
use super::{Payload, Refusal, SimulatedAws, TableWish};

fn use2() -> Region {
    Region::from("us-east-2")
}

async fn table(aws: &SimulatedAws, region: &Region, name: &str) {
    let wish = TableWish { streams: true, ..TableWish::default() };
    aws.with(|w| w.make_table_as(region, name, wish)).unwrap();
    pass(31_000).await;
}

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> &'static str {
    result.unwrap_err().code
}

fn status(aws: &SimulatedAws, region: &Region, name: &str) -> &'static str {
    aws.with(|w| w.table_details(region, name)).map_or("none", |found| found.status)
}

#[tokio::test(start_paused = true)]
async fn a_table_comes_and_goes_in_its_time() {
    let aws = world();
    aws.with(|w| w.make_table_as(&use1(), "New", TableWish::default())).unwrap();
    assert_eq!(status(&aws, &use1(), "New"), "CREATING");
    assert_eq!(code(aws.with(|w| w.put_item(&use1(), "New", "k", 1))), "ResourceNotFoundException");
    pass(31_000).await;
    assert_eq!(status(&aws, &use1(), "New"), "ACTIVE");
    assert_eq!(code(aws.with(|w| w.add_replica(&use1(), "New", &euw1()))), "ValidationException");
    aws.with(|w| w.enable_streams(&use1(), "New")).unwrap();
    aws.with(|w| w.add_replica(&use1(), "New", &euw1())).unwrap();
    assert_eq!((status(&aws, &use1(), "New"), status(&aws, &euw1(), "New")), ("UPDATING", "CREATING"));
    assert_eq!(code(aws.with(|w| w.delete_table(&use1(), "New"))), "ResourceInUseException");
    pass(121_000).await;
    aws.with(|w| w.delete_table(&use1(), "New")).unwrap();
    assert_eq!(status(&aws, &use1(), "New"), "DELETING");
    pass(31_000).await;
    assert_eq!((status(&aws, &use1(), "New"), status(&aws, &euw1(), "New")), ("none", "ACTIVE"));
    aws.with(|w| w.delete_table(&euw1(), "New")).unwrap();
    pass(31_000).await;
    assert_eq!(status(&aws, &euw1(), "New"), "none");
}

#[tokio::test(start_paused = true)]
async fn a_removed_replica_is_deleting_for_a_while_and_goes_with_its_items() {
    let aws = world();
    aws.with(|w| w.put_item(&use1(), "Orders", "k", 1)).unwrap();
    pass(2_000).await;
    aws.with(|w| w.remove_replica(&use1(), "Orders", &euw1())).unwrap();
    let replicas = || aws.with(|w| w.describe_table(&use1(), "Orders")).unwrap().replicas;
    assert_eq!(replicas()[&euw1()], ReplicaStatus::Deleting);
    assert_eq!(code(aws.with(|w| w.remove_replica(&use1(), "Orders", &euw1()))), "ResourceInUseException");
    assert_eq!(code(aws.with(|w| w.get_item(&euw1(), "Orders", "k"))), "ResourceNotFoundException");
    pass(61_000).await;
    assert_eq!(replicas().len(), 1);
    table(&aws, &euw1(), "Orders").await;
    assert_eq!(aws.with(|w| w.get_item(&euw1(), "Orders", "k")), Ok(None), "a namesake begins empty");
    assert_eq!(code(aws.with(|w| w.add_replica(&use1(), "Orders", &euw1()))), "ValidationException");
    assert_eq!(aws.with(|w| w.get_item(&use1(), "Orders", "k")), Ok(Some(1)));
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_stays_deleted_everywhere() {
    let aws = world();
    aws.with(|w| w.put_item(&use1(), "Orders", "k", 5)).unwrap();
    // In the same instant: it is the later one all the same.
    aws.with(|w| w.put_item_as(&use1(), "Orders", "k", 6, Some(Payload::Gone))).unwrap();
    let get = |region: &Region| aws.with(|w| w.get_item(region, "Orders", "k")).unwrap();
    pass(3_000).await;
    assert_eq!((get(&use1()), get(&euw1())), (None, None));
    assert!(aws.with(|w| w.items(&euw1(), "Orders").unwrap().is_empty()));
    aws.with(|w| w.put_item(&euw1(), "Orders", "k", 1)).unwrap();
    pass(3_000).await;
    assert_eq!(get(&use1()), Some(1));
}

#[tokio::test(start_paused = true)]
async fn three_regions_agree_while_two_of_them_can() {
    let aws = world();
    table(&aws, &use1(), "Strong").await;
    let others = [usw2()];
    let strong =
        |regions: &[Region], witness: Option<&Region>| aws.with(|w| w.make_strong(&use1(), "Strong", regions, witness));
    assert_eq!(code(strong(&others, None)), "ValidationException");
    assert_eq!(code(strong(&others, Some(&euw1()))), "ValidationException");
    strong(&others, Some(&use2())).unwrap();
    pass(121_000).await;
    let found = aws.with(|w| w.describe_table(&usw2(), "Strong")).unwrap();
    assert_eq!((found.kind, found.consistency, found.witness), (TableKind::Global, Consistency::Strong, Some(use2())));
    let put = |region: &Region, version| aws.with(|w| w.put_item(region, "Strong", "k", version));
    let get = |region: &Region| aws.with(|w| w.get_item(region, "Strong", "k")).unwrap();
    put(&use1(), 1).unwrap();
    assert_eq!(get(&usw2()), Some(1), "at once");
    aws.break_region(&usw2());
    put(&use1(), 2).unwrap();
    aws.break_region(&use2());
    assert_eq!(code(put(&use1(), 3)), "InternalServerError");
    assert_eq!(code(aws.with(|w| w.may_read(&use1(), "Strong", true))), "InternalServerError");
    assert_eq!(get(&use1()), Some(2));
    aws.heal_region(&usw2());
    assert_eq!(get(&usw2()), Some(2), "whoever comes back knows what the others agreed on");
    put(&usw2(), 4).unwrap();
    assert_eq!(get(&use1()), Some(4));
}

#[tokio::test(start_paused = true)]
async fn a_strong_table_ends_as_a_whole() {
    let aws = world();
    table(&aws, &use1(), "Strong").await;
    aws.with(|w| w.make_strong(&use1(), "Strong", &[usw2(), use2()], None)).unwrap();
    pass(121_000).await;
    assert_eq!(code(aws.with(|w| w.remove_replica(&use1(), "Strong", &usw2()))), "ValidationException");
    assert_eq!(code(aws.with(|w| w.end_strong(&use1(), "Strong", &[usw2()], None))), "ValidationException");
    aws.with(|w| w.end_strong(&use1(), "Strong", &[usw2(), use2()], None)).unwrap();
    pass(61_000).await;
    let found = aws.with(|w| w.describe_table(&use1(), "Strong")).unwrap();
    assert_eq!((found.kind, found.consistency), (TableKind::Single, Consistency::Eventual));
}

#[tokio::test(start_paused = true)]
async fn equal_tables_become_one_in_the_way_of_2017() {
    let aws = world();
    table(&aws, &use1(), "Old").await;
    let make = || aws.with(|w| w.make_legacy_table(&use1(), "Old", &[use1(), euw1()]));
    assert_eq!(code(make()), "TableNotFoundException");
    table(&aws, &euw1(), "Old").await;
    make().unwrap();
    assert_eq!(code(make()), "GlobalTableAlreadyExistsException");
    let found = aws.with(|w| w.describe_table(&euw1(), "Old")).unwrap();
    assert_eq!((found.kind, found.replicas.len()), (TableKind::Legacy, 2));
    assert_eq!(code(aws.with(|w| w.add_replica(&use1(), "Old", &usw2()))), "ValidationException");
    aws.with(|w| w.put_item(&use1(), "Old", "k", 1)).unwrap();
    pass(2_000).await;
    assert_eq!(aws.with(|w| w.get_item(&euw1(), "Old", "k")), Ok(Some(1)));
}
