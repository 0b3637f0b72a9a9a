// Package broker is where logs and tables live, as the rest of the program sees it. [Broker] is what it sees. [Local] is
// the journal of this process; [Connection] is a Kafka of others, reached by franz-go, also where goka asks for
// clients in the types of sarama.
package broker
