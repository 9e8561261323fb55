// Compiles the main class of a folder of classes to WebAssembly with garbage collection.
//
//   java -cp CLASSPATH Compile.java CLASSES MAIN FOLDER

import java.io.File;
import java.net.URL;
import java.net.URLClassLoader;
import org.teavm.tooling.TeaVMTargetType;
import org.teavm.tooling.TeaVMTool;
import org.teavm.vm.TeaVMOptimizationLevel;

public class Compile {
    public static void main(String[] arguments) throws Exception {
        URL[] classes = { new File(arguments[0] + "/").toURI().toURL() };
        TeaVMTool tool = new TeaVMTool();
        tool.setTargetType(TeaVMTargetType.WEBASSEMBLY_GC);
        tool.setClassLoader(new URLClassLoader(classes, Compile.class.getClassLoader()));
        tool.setMainClass(arguments[1]);
        tool.setTargetDirectory(new File(arguments[2]));
        tool.setTargetFileName(arguments[1].toLowerCase() + ".wasm");
        tool.setOptimizationLevel(TeaVMOptimizationLevel.FULL);
        tool.setObfuscated(false);
        tool.setStrict(true);
        tool.generate();
        tool.getProblemProvider().getProblems().forEach(problem -> System.err.println(problem.getText()));
        if (!tool.getProblemProvider().getSevereProblems().isEmpty()) {
            System.exit(1);
        }
    }
}
