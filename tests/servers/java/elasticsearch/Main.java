// SPDX-License-Identifier: Apache-2.0

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.Plugin;

/** One Elasticsearch node on 127.0.0.1: arguments are its folder, its HTTP port and its transport port; until killed. */
public class Main extends Node {
    /** What a download has as modules and the transport client's artifacts bring along. */
    private static final String[] MODULES = {
        "org.elasticsearch.transport.Netty4Plugin",
    };

    private Main(Environment environment, Collection<Class<? extends Plugin>> modules) {
        super(environment, modules, false);
    }

    public static void main(String[] arguments) throws Exception {
        Path home = Paths.get(arguments[0]);
        for (String folder : new String[] {"config", "data", "logs", "modules", "plugins", "lib"}) {
            Files.createDirectories(home.resolve(folder));
        }
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
        List<Class<? extends Plugin>> modules = new ArrayList<>();
        for (String name : MODULES) {
            modules.add(Class.forName(name).asSubclass(Plugin.class));
        }
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(settings, Collections.emptyMap(), null, () -> "one");
        new Main(environment, modules).start();
        Thread.currentThread().join();
    }
}
