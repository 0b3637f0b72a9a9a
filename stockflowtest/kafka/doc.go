// Package kafka runs Apache Kafka for tests: three brokers that are their own controllers, or one with ZooKeeper. They
// are processes of Java on loopback, with their files in the test's directory, and end with the test, whatever becomes of it.
//
// The jars come from Maven Central: make test-kafka fetches them into kraft/target and zookeeper/target. Where they are
// missing, tests are skipped, unless STOCKFLOW_REQUIRE wants "kafka".
package kafka
