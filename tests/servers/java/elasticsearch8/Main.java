// SPDX-License-Identifier: Apache-2.0

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Collections;
import org.elasticsearch.Build;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;

/** One Elasticsearch 8 node on 127.0.0.1: arguments are its folder, its HTTP port and its transport port; until killed. */
public class Main {
    public static void main(String[] arguments) throws Exception {
        Path home = Paths.get(arguments[0]);
        for (String folder : new String[] {"config", "data", "logs", "modules", "plugins", "lib"}) {
            Files.createDirectories(home.resolve(folder));
        }
        layNetty(home.resolve("modules").resolve("transport-netty4"));
        Settings settings = Settings.builder()
            .put("path.home", home.toString())
            .put("cluster.name", "osprofiler")
            .put("node.name", "one")
            .put("network.host", "127.0.0.1")
            .put("http.port", Integer.parseInt(arguments[1]))
            .put("transport.port", Integer.parseInt(arguments[2]))
            .put("discovery.type", "single-node")
            .put("transport.type", "netty4")
            .put("http.type", "netty4")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build();
        LogConfigurator.configureESLogging();
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(settings, Collections.emptyMap(), null, () -> "one");
        new Node(environment).start();
        Thread.currentThread().join();
    }

    /** Has the server find the module that a download has there; it wants it outside its own class path. */
    private static void layNetty(Path module) throws Exception {
        if (Files.exists(module)) {
            return;
        }
        Path made = Paths.get(Main.class.getProtectionDomain().getCodeSource().getLocation().toURI()).getParent();
        Files.createDirectories(module);
        try (var jars = Files.newDirectoryStream(made.resolve("modules"))) {
            for (Path jar : jars) {
                Files.createSymbolicLink(module.resolve(jar.getFileName()), jar);
            }
        }
        String version = Build.current().version();
        Files.writeString(
            module.resolve("plugin-descriptor.properties"),
            String.join(
                "\n",
                "name=transport-netty4",
                "description=HTTP",
                "version=" + version,
                "elasticsearch.version=" + version,
                "java.version=17",
                "classname=org.elasticsearch.transport.netty4.Netty4Plugin"));
    }
}
