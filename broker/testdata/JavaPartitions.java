// Prints which partitions Java's own Kafka client chooses for a thousand keys: the key in hex, then the partition of 8, of 12 and of
// 100. It made java-partitions.txt, with the kafka-clients of Kafka 4.4.0:
//
//   java -cp 'stockflowtest/kafka/kraft/target/dependency/*' broker/testdata/JavaPartitions.java > broker/testdata/java-partitions.txt
//
// BuiltInPartitioner.partitionForKey is what KafkaProducer calls for a record with a key.
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Random;
import java.util.UUID;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;

class JavaPartitions {
    public static void main(String[] args) {
        Random random = new Random(42);
        for (int i = 0; i < 250; i++) {
            print(("o-" + i).getBytes(StandardCharsets.UTF_8));
            print(new UUID(random.nextLong(), random.nextLong()).toString().getBytes(StandardCharsets.UTF_8));
            print(("Größe-" + i + "-尺寸-🙂".repeat(i % 3)).getBytes(StandardCharsets.UTF_8));
            byte[] bytes = new byte[1 + i % 41];
            random.nextBytes(bytes);
            print(bytes);
        }
    }

    static void print(byte[] key) {
        System.out.print(HexFormat.of().formatHex(key));
        for (int partitions : new int[] {8, 12, 100}) {
            System.out.print(" " + BuiltInPartitioner.partitionForKey(key, partitions));
        }
        System.out.println();
    }
}
