//! What a fresh server has before anyone writes to it. Data only.

use serde_json::json;

use crate::kinds;
use crate::store::Store;

/// Fills an empty store.
pub fn fill(store: &mut Store) {
    for (name, is_bot) in [("admin", false), ("ingestion-bot", true), ("consumer", false)] {
        let attributes = json!({"name": name, "email": format!("{name}@open-metadata.org"), "isBot": is_bot, "isAdmin": name == "admin"});
        store.insert_system("users", name, attributes);
    }
    store.insert_system(
        "teams",
        "Organization",
        json!({"teamType": "Organization", "description": "The root of all teams"}),
    );
    store.insert_system(
        "bots",
        "ingestion-bot",
        json!({"botUser": "ingestion-bot", "provider": "system"}),
    );
    for role in ["DataConsumer", "DataSteward", "IngestionBotRole"] {
        store.insert_system("roles", role, json!({"policies": [], "provider": "system"}));
    }
    let classifications: [(&str, bool, &[&str]); 5] = [
        ("PII", true, &["None", "NonSensitive", "Sensitive"]),
        ("PersonalData", false, &["Personal", "SpecialCategory"]),
        ("Tier", true, &["Tier1", "Tier2", "Tier3", "Tier4", "Tier5"]),
        ("Certification", true, &["Bronze", "Silver", "Gold"]),
        ("KnowledgeCenter", false, &["QuickLink"]),
    ];
    for (classification, exclusive, tags) in classifications {
        let attributes = json!({"description": classification, "mutuallyExclusive": exclusive, "provider": "system"});
        store.insert_system("classifications", classification, attributes);
        for tag in tags {
            let attributes = json!({"classification": classification, "description": tag, "provider": "system"});
            store.insert_system("tags", &format!("{classification}.{tag}"), attributes);
        }
    }
}

/// Whether an entity was there from the start: a dump leaves those out that nobody changed.
pub fn is_seed(kind: kinds::KindId, fqn: &str) -> bool {
    static SEED: std::sync::OnceLock<std::collections::HashSet<(usize, String)>> = std::sync::OnceLock::new();
    SEED.get_or_init(|| {
        let store = Store::new(true, 0);
        let all = store.collections.iter().enumerate();
        all.flat_map(|(kind, held)| held.entities.keys().map(move |fqn| (kind, fqn.to_string())))
            .collect()
    })
    .contains(&(kind, fqn.to_string()))
}
