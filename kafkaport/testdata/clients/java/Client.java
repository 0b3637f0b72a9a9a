import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** See README.md in the directory above. "admin ADDRESS" also prints what there is, one thing a line. */
public class Client {
    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "produce" -> produce(args[1], args[2], args[3]);
            case "consume" -> consume(args[1], args[2], args[3]);
            case "admin" -> admin(args[1]);
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    private static BufferedReader input() {
        return new BufferedReader(new InputStreamReader(System.in));
    }

    private static void produce(String address, String topic, String codec) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", address, "compression.type", codec, "linger.ms", 5,
                "retry.backoff.ms", 50, "reconnect.backoff.ms", 50, "request.timeout.ms", 10_000);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer()); var in = input()) {
            for (String line; (line = in.readLine()) != null; ) {
                sent.add(producer.send(new ProducerRecord<>(topic, line, line)));
            }
            for (var one : sent) {
                one.get();
            }
        }
    }

    private static void consume(String address, String group, String topic) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", address, "group.id", group, "auto.offset.reset", "earliest",
                "session.timeout.ms", 6000, "heartbeat.interval.ms", 200, "reconnect.backoff.ms", 50, "allow.auto.create.topics", false);
        var ends = new AtomicBoolean();
        var waits = new Thread(() -> {
            try (var in = input()) {
                in.readLine();
            } catch (java.io.IOException e) {
                e.printStackTrace();
            }
            ends.set(true);
        });
        waits.setDaemon(true);
        waits.start();
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (!ends.get()) {
                for (var one : consumer.poll(Duration.ofMillis(100))) {
                    System.out.println(one.value());
                }
            }
        }
    }

    private static void admin(String address) throws Exception {
        try (var admin = Admin.create(Map.of("bootstrap.servers", address))) {
            System.out.println("cluster " + admin.describeCluster().clusterId().get());
            for (var name : admin.listTopics().names().get().stream().sorted().toList()) {
                var topic = admin.describeTopics(List.of(name)).allTopicNames().get().get(name);
                System.out.println("topic " + name + " " + topic.partitions().size());
            }
            for (var group : admin.listGroups().all().get()) {
                System.out.println("group " + group.groupId() + " " + group.type().get());
            }
            var all = admin.describeConfigs(List.of(new org.apache.kafka.common.config.ConfigResource(
                    org.apache.kafka.common.config.ConfigResource.Type.TOPIC, "order-table"))).all().get();
            for (var config : all.values()) {
                System.out.println("cleanup.policy " + config.get("cleanup.policy").value());
            }
        }
    }
}
