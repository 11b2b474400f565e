// SPDX-License-Identifier: Apache-2.0

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;

import kafka.Kafka;
import kafka.tools.StorageTool;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.errors.TopicExistsException;

/**
 * One Kafka broker, its own controller, until killed: arguments are its properties file, its address, a topic, and a
 * file that it makes when it has the topic.
 */
public class Main {
    public static void main(String[] arguments) throws Exception {
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "warn");
        String properties = arguments[0];
        if (!Files.exists(Path.of(properties).resolveSibling("node").resolve("meta.properties"))) {
            String[] format = {"format", "--standalone", "-t", "osprofilerosprofileros", "-c", properties};
            if (StorageTool.execute(format, System.out) != 0) {
                System.exit(1);
            }
        }
        Thread maker = new Thread(() -> makeTopic(arguments[1], arguments[2], Path.of(arguments[3])));
        maker.setDaemon(true);
        maker.start();
        Kafka.main(new String[] {properties});
    }

    private static void makeTopic(String address, String topic, Path made) {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            admin.createTopics(List.of(new NewTopic(topic, Optional.empty(), Optional.empty()))).all().get();
            Files.createFile(made);
        } catch (ExecutionException fault) {
            if (!(fault.getCause() instanceof TopicExistsException)) {
                fault.printStackTrace();
            }
        } catch (Exception fault) {
            fault.printStackTrace();
        }
    }
}
